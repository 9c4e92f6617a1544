# Differential abundance of clusters: fresh random counts, edgeR's quasi-likelihood F test with a common Cox-Reid dispersion.
# Run in this folder: Rscript abundance.R > abundance_R.csv
suppressMessages(library(edgeR))
set.seed(20261126)
n <- 8; K <- 14
patient <- factor(rep(1:n, 2)); after <- rep(0:1, each = n)
parents <- round(12000 * exp(rnorm(2 * n, 0, .6)))
share <- exp(rnorm(K, -4, 1.6)); share <- share / sum(share); share[K] <- 2e-4; share[K - 1] <- 6e-4
level <- outer(log(share), rep(1, 2 * n)) + matrix(rnorm(K * n, 0, .5), K)[, as.integer(patient)] +
  matrix(rnorm(K * 2 * n), K) * exp(rnorm(K, log(.2), .5)) + outer(c(.7, -.5, rep(0, K - 2)), after)
counts <- matrix(rpois(K * 2 * n, sweep(exp(level), 2, parents, "*")), K)
counts[K, after == 1][1:5] <- 0
write.csv(data.frame(sample = seq_len(2 * n), patient, after, parents, t(counts)), "abundance.csv", row.names = FALSE)
design <- model.matrix(~ patient + after)
offset <- matrix(log(parents), K, 2 * n, byrow = TRUE)
phi <- dispCoxReid(counts, design, offset = offset, interval = c(0, 4), subset = NULL, AveLogCPM = NULL, tol = 1e-9)
fit <- glmQLFit(counts, design, dispersion = phi, offset = offset, abundance.trend = FALSE)
test <- glmQLFTest(fit)
# limits: the folds at which F is at its 5 % quantile
at <- function(k, b) glmFit(counts[k, , drop = FALSE], design[, -ncol(design)], dispersion = phi,
  offset = offset[k, , drop = FALSE] + b * after)$deviance
limit <- function(k, end) {
  allowed <- fit$var.post[k] * qf(.95, 1, test$df.total[k]); best <- fit$unshrunk.coefficients[k, ncol(design)]
  f <- function(b) at(k, b) - fit$deviance[k] - allowed
  if (f(end) < 0) NA else uniroot(f, sort(c(best, end)), tol = 1e-8)$root
}
found <- data.frame(cluster = 1:K, estimate = fit$unshrunk.coefficients[, ncol(design)], ci_low = sapply(1:K, limit, -9),
  ci_high = sapply(1:K, limit, 9), p_value = test$table$PValue, df = test$df.total, s2 = fit$deviance / fit$df.residual.zeros,
  posterior = fit$var.post, dispersion = phi)
write.csv(format(found, digits = 10), row.names = FALSE, quote = FALSE)
