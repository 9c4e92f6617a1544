# Few events split between two visits: fresh random data; binomial split by lme4 (adaptive quadrature), noncentral
# hypergeometric split by an enumeration of its own (adaptive integration over the patients' shifts).
# Run in this folder: Rscript event_split.R > event_split_R.csv
suppressMessages(library(lme4))
set.seed(20261127)
n <- 15
parents <- cbind(round(6000 * exp(rnorm(n, 0, .6))), round(2500 * exp(rnorm(n, 0, .6))))
level <- log(.002) + rnorm(n, 0, .5)
events <- cbind(rbinom(n, parents[, 1], plogis(level)), rbinom(n, parents[, 2], plogis(level + .5 + rnorm(n, 0, .7))))
dense <- cbind(rpois(n, 150) + 40, rpois(n, 90) + 40)
dense_events <- cbind(rbinom(n, dense[, 1], .06), rbinom(n, dense[, 2], plogis(qlogis(.06) + .4 + rnorm(n, 0, .8))))
write.csv(data.frame(patient = 1:n, events_before = events[, 1], events_after = events[, 2], parents_before = parents[, 1],
  parents_after = parents[, 2], dense_events_before = dense_events[, 1], dense_events_after = dense_events[, 2],
  dense_before = dense[, 1], dense_after = dense[, 2]), "event_split.csv", row.names = FALSE)

some <- rowSums(events) > 0
d <- data.frame(patient = factor(1:n), later = events[, 2], earlier = events[, 1], offset = log(parents[, 2] / parents[, 1]))[some, ]
fit <- glmer(cbind(later, earlier) ~ 1 + offset(offset) + (1 | patient), d, family = binomial, nAGQ = 50,
             control = glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9)))

# log likelihood: per patient the integral over its own shift of the conditional probability
ll <- function(theta, sd, y, N, hyper) {
  total <- 0
  for (i in seq_len(nrow(y))) {
    t <- sum(y[i, ]); if (t == 0) next
    support <- if (hyper) max(0, t - N[i, 1]):min(t, N[i, 2]) else 0:t
    lw <- if (hyper) lchoose(N[i, 2], support) + lchoose(N[i, 1], t - support) else lchoose(t, support) + support * log(N[i, 2] / N[i, 1])
    at <- which(support == y[i, 2])
    f <- function(x) sapply(x, function(e) { l <- lw + support * e; exp(l[at] - max(l) - log(sum(exp(l - max(l))))) }) * dnorm(x, theta, sd)
    total <- total + log(integrate(f, theta - 9 * sd, theta + 9 * sd, rel.tol = 1e-10, subdivisions = 2000)$value)
  }
  total
}
report <- function(model, y, N, hyper) {
  k <- sum(rowSums(y) > 0)
  profile <- function(theta) -optimize(function(s) -ll(theta, s, y, N, hyper), c(.1, 3), tol = 1e-7)$objective
  top <- optimize(function(theta) -profile(theta), c(-3, 3), tol = 1e-7); best <- top$minimum; peak <- -top$objective
  allowed <- k * log(1 + qt(.975, k - 1)^2 / (k - 1))
  f <- function(theta) 2 * (peak - profile(theta)) - allowed
  low <- uniroot(f, c(best - 4, best), tol = 1e-7)$root; high <- uniroot(f, c(best, best + 4), tol = 1e-7)$root
  ratio <- 2 * (peak - profile(0)); p <- 2 * pt(-sqrt((k - 1) * (exp(ratio / k) - 1)), k - 1)
  data.frame(model = model, quantity = c("estimate", "ci_low", "ci_high", "p_value", "log_likelihood"), value = c(best, low, high, p, peak))
}
v <- as.data.frame(VarCorr(fit))$sdcor
found <- rbind(data.frame(model = "glmer", quantity = c("estimate", "sd"), value = c(fixef(fit), v)),
  report("binomial", events, parents, FALSE), report("hypergeometric", events, parents, TRUE),
  report("hypergeometric, dense", dense_events, dense, TRUE))
found$value <- sprintf("%.10g", found$value)
write.csv(found, row.names = FALSE)
