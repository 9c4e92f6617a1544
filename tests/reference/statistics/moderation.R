# Moderated t averaged over priors, and two one-sided tests: written again with plain loops, nothing shared with immunolab.
# In:  moderation.csv    study, endpoint, patient, shift, counting (variance of the shift)
# Out: moderation_R.csv  study, endpoint, p, low, high (95 % limits), tost_p (margin log 1.5 on the limits' own t)
#   Rscript moderation.R   in this folder
read <- read.csv("moderation.csv")
dfs <- c(1, 2, 4, 8, 16, 32, 64, 1e5)
steps <- seq(-2.5, 2.5, length.out = 25)
shares <- c(.2, .5, .8)
out <- data.frame()
for (study in unique(read$study)) {
  rows <- read[read$study == study, ]
  names <- unique(rows$endpoint)
  per <- lapply(names, function(name) rows[rows$endpoint == name & !is.na(rows$shift), ])
  m <- sapply(per, function(r) mean(r$shift)); s2 <- sapply(per, function(r) var(r$shift))
  n <- sapply(per, nrow); count <- sapply(per, function(r) mean(r$counting)); df <- n - 1
  expected <- count + max(1e-3, median(s2 - count))
  x <- s2 / expected; power <- 2 / mean(df); temper <- 1 - 1 / mean(df)
  scales <- median(x) * exp(steps)
  # density of the variance ratio under a prior: scaled F
  dens <- function(k, d0, s) df(x[k] / s, df[k], d0) / s
  weights <- list(); K <- length(names)
  total <- matrix(0, K, length(dfs) * length(scales))
  at <- function(i, j) (i - 1) * length(scales) + j
  loglik <- c(); kind <- list()
  for (i in seq_along(dfs)) {
    D <- sapply(scales, function(s) sapply(1:K, dens, d0 = dfs[i], s = s))  # K x scales
    for (j in seq_along(scales)) {
      loglik <- c(loglik, temper * sum(log(D[, j])) + log(.5 * dfs[i]^-power / length(scales)))
      member <- matrix(1, K, 1); kind[[length(kind) + 1]] <- list(place = at(i, j), member = member)
    }
    for (a in 1:(length(scales) - 1)) for (b in (a + 1):length(scales)) for (w in shares) {
      q <- w * D[, a]; r <- (1 - w) * D[, b]
      loglik <- c(loglik, temper * sum(log(q + r)) + log(.5 * dfs[i]^-power / (choose(length(scales), 2) * length(shares))))
      kind[[length(kind) + 1]] <- list(place = c(at(i, a), at(i, b)), member = cbind(q / (q + r), r / (q + r)))
    }
  }
  post <- exp(loglik - max(loglik)); post <- post / sum(post)
  for (t in which(post > 1e-12)) for (c in seq_along(kind[[t]]$place)) {
    total[, kind[[t]]$place[c]] <- total[, kind[[t]]$place[c]] + post[t] * kind[[t]]$member[, c]
  }
  for (k in 1:K) {
    d0 <- rep(dfs, each = length(scales)); s0 <- rep(scales, length(dfs))
    se <- sqrt((d0 * s0 * expected[k] + df[k] * s2[k]) / (d0 + df[k]) / n[k])
    tail <- function(width) sum(total[k, ] * 2 * pt(-width / se, d0 + df[k]))
    half <- uniroot(function(width) tail(width) - .05, c(1e-9, 100 * max(se)), tol = 1e-12)$root
    eff <- 1 / sum(total[k, ] / (d0 + df[k]))
    one <- half / qt(.975, eff)
    tost <- max(pt(-(m[k] + log(1.5)) / one, eff), pt((m[k] - log(1.5)) / one, eff))
    out <- rbind(out, data.frame(study, endpoint = names[k], p = tail(abs(m[k])), low = m[k] - half, high = m[k] + half, tost_p = tost))
  }
}
out[3:6] <- lapply(out[3:6], function(v) sprintf("%.15g", v))
write.csv(out, "moderation_R.csv", row.names = FALSE, quote = FALSE)
