# Pairs with values beyond an assay's limits: fresh random data; survival's Tobit regression where one visit alone is
# limited, and the bivariate normal likelihood by mvtnorm where both are.
# Run in this folder: Rscript censored_pairs.R > censored_pairs_R.csv
library(survival); library(mvtnorm)
set.seed(20261128)
n <- 16
before <- rnorm(n, 1, .7); after <- before + rnorm(n, -.7, .5); third <- before + rnorm(n, .2, .6)
low <- quantile(c(before, after), .35); high <- 2.1
beyond <- function(y) ifelse(y < low, -1, ifelse(y > high, 1, 0))
held <- function(y) pmin(pmax(y, low), high)
d <- data.frame(patient = 1:n, before = held(before), beyond_before = beyond(before), after = held(after), beyond_after = beyond(after))
d$after[5] <- NA; d$beyond_after[5] <- 0; d$before[6] <- NA; d$beyond_before[6] <- 0
one <- data.frame(patient = 1:n, before = before, after = pmax(third, quantile(third, .4)), beyond_after = ifelse(third < quantile(third, .4), -1, 0))
write.csv(cbind(d, one_before = one$before, one_after = one$after, one_beyond_after = one$beyond_after), "censored_pairs.csv", row.names = FALSE)

# one visit limited: the density of the seen visit times the Tobit regression of the other on it
fit <- survreg(Surv(after, beyond_after == 0, type = "left") ~ before, one, dist = "gaussian", control = list(rel.tolerance = 1e-12, maxiter = 200))
m0 <- mean(one$before); s0 <- sqrt(mean((one$before - m0)^2)); b <- unname(coef(fit))
ll0 <- sum(dnorm(one$before, m0, s0, log = TRUE))
survival <- data.frame(model = "one visit", quantity = c("estimate", "log_likelihood", "sd_after", "correlation"),
  value = c(b[1] + b[2] * m0 - m0, fit$loglik[2] + ll0, sqrt(fit$scale^2 + b[2]^2 * s0^2), b[2] * s0 / sqrt(fit$scale^2 + b[2]^2 * s0^2)))

ll <- function(t) {
  mean <- c(t[1], t[1] + t[2]); sd <- exp(t[3:4]); rho <- tanh(t[5])
  S <- matrix(c(sd[1]^2, rho * prod(sd), rho * prod(sd), sd[2]^2), 2); total <- 0
  range <- function(y, b) if (b < 0) c(-Inf, y) else c(y, Inf)
  for (i in 1:n) {
    y <- c(d$before[i], d$after[i]); b <- c(d$beyond_before[i], d$beyond_after[i]); there <- !is.na(y)
    if (sum(there) == 1) { k <- which(there); r <- range(y[k], b[k])
      total <- total + if (b[k] == 0) dnorm(y[k], mean[k], sd[k], log = TRUE) else log(diff(pnorm(r, mean[k], sd[k])))
    } else if (all(b == 0)) total <- total + dmvnorm(y, mean, S, log = TRUE)
    else if (all(b != 0)) { r <- sapply(1:2, function(k) range(y[k], b[k]))
      total <- total + log(pmvnorm(r[1, ], r[2, ], mean, sigma = S, algorithm = TVPACK(1e-12))[1])
    } else { k <- which(b == 0); j <- 3 - k; r <- range(y[j], b[j])
      given <- mean[j] + rho * sd[j] / sd[k] * (y[k] - mean[k]); s <- sd[j] * sqrt(1 - rho^2)
      total <- total + dnorm(y[k], mean[k], sd[k], log = TRUE) + log(diff(pnorm(r, given, s))) }
  }
  total
}
best <- optim(c(1, -.6, log(.7), log(.7), .8), function(t) -ll(t), method = "BFGS", control = list(reltol = 1e-14, maxit = 2000))
profile <- function(change) -optim(best$par[-2], function(t) -ll(append(t, change, 1)), method = "BFGS", control = list(reltol = 1e-14, maxit = 2000))$value
pairs <- sum(!is.na(d$before) & !is.na(d$after)); allowed <- pairs * log(1 + qt(.975, pairs - 1)^2 / (pairs - 1))
f <- function(change) 2 * (-best$value - profile(change)) - allowed
limits <- c(uniroot(f, c(best$par[2] - 2, best$par[2]), tol = 1e-8)$root, uniroot(f, c(best$par[2], best$par[2] + 2), tol = 1e-8)$root)
ratio <- 2 * (-best$value - profile(0)); p <- 2 * pt(-sqrt((pairs - 1) * (exp(ratio / pairs) - 1)), pairs - 1)
found <- rbind(survival, data.frame(model = "both visits", quantity = c("estimate", "ci_low", "ci_high", "p_value", "log_likelihood"),
  value = c(best$par[2], limits, p, -best$value)))
found$value <- sprintf("%.10g", found$value)
write.csv(found, row.names = FALSE)
