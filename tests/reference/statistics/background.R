# Stimulated less unstimulated tubes: fresh random counts; limits of each share by uniroot of its equation, joined by
# variance estimates recovery, and p as the level at which a limit is 0. With cv = 0 the shares' limits are those of prop.test
# without continuity correction (Wilson), which is checked here.
# Run in this folder: Rscript background.R > background_R.csv
set.seed(20261126)
n <- 24
cells <- cbind(round(30000 * exp(rnorm(n, 0, .6))), round(40000 * exp(rnorm(n, 0, .6))))
level <- 10^runif(n, -4.5, -1.7)
fold <- exp(rnorm(n, .6, 1))
events <- cbind(rbinom(n, cells[, 1], pmin(level * fold, .6)), rbinom(n, cells[, 2], level))
cv <- rep(c(0, .1, .2, .3), length.out = n)
tubes <- rep(c(1, 1, 2), length.out = n)
df <- rep(c(Inf, Inf, 6), length.out = n)
write.csv(data.frame(n_stimulated = events[, 1], of_stimulated = cells[, 1], n_control = events[, 2],
  of_control = cells[, 2], cv, tubes, df), "background.csv", row.names = FALSE)

limits <- function(y, N, cv, k, t) { # in events
  f <- function(x) (y - x)^2 - t^2 * (x * (1 - x / N) + cv^2 / k * x^2)
  low <- if (y == 0) 0 else uniroot(f, c(0, y), tol = 1e-12)$root
  high <- if (f(N) < 0) N else uniroot(f, c(max(y, 1e-8), N), tol = 1e-12)$root
  c(low, high) / N
}
difference <- function(i, t) {
  a <- limits(events[i, 1], cells[i, 1], cv[i], 1, t); b <- limits(events[i, 2], cells[i, 2], cv[i], tubes[i], t)
  p <- events[i, ] / cells[i, ]; d <- p[1] - p[2]
  c(d - sqrt((p[1] - a[1])^2 + (b[2] - p[2])^2), d + sqrt((a[2] - p[1])^2 + (p[2] - b[1])^2), d)
}
degrees <- function(i) {
  if (!is.finite(df[i]) || cv[i] == 0) return(Inf)
  p <- sum(events[i, ]) / sum(cells[i, ])
  counting <- p * (1 - p) * sum(1 / cells[i, ]); between <- p^2 * cv[i]^2 * (1 + 1 / tubes[i])
  (counting + between)^2 / (between^2 / df[i])
}
for (i in which(cv == 0 & events[, 1] > 0)) {
  wilson <- suppressWarnings(prop.test(events[i, 1], cells[i, 1], correct = FALSE)$conf.int)
  stopifnot(max(abs(limits(events[i, 1], cells[i, 1], 0, 1, qnorm(.975)) - wilson)) < 1e-7)
}
rows <- lapply(seq_len(n), function(i) {
  v <- degrees(i); at <- difference(i, qt(.975, v))
  f <- function(t) { d <- difference(i, t); if (d[3] > 0) d[1] else -d[2] }
  t <- uniroot(f, c(1e-3, 37), tol = 1e-13)$root
  data.frame(difference = 100 * at[3], ci_low = 100 * at[1], ci_high = 100 * at[2], p_value = 2 * pt(-t, v))
})
found <- do.call(rbind, rows)
write.csv(format(found, digits = 12), row.names = FALSE, quote = FALSE)
