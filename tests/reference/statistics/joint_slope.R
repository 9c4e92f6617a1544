# Slopes of two periods and death with a shared random slope: fresh random data; the likelihood by a sum over a fine grid of
# the patient's slope, the rest by whole covariance matrices, and optim.
# Run in this folder: Rscript joint_slope.R > joint_slope_R.csv
set.seed(20261204)
n <- 18; grid <- (c(0, 12, 24, 36, 48) - 24) * 7 / 30.4375
u <- rnorm(n); death <- rexp(n, .045 * exp(-.9 * u)) + grid[1]; end <- pmin(death, grid[5])
level <- rnorm(n, 38, 3); later <- rnorm(n, -.2, .3)
rows <- do.call(rbind, lapply(1:n, function(i) { m <- grid[grid <= end[i]]
  data.frame(patient = i, months = m, value = level[i] + (-.9 + .6 * u[i]) * m + later[i] * pmax(m, 0) + rnorm(length(m), 0, .8)) }))
people <- data.frame(patient = 1:n, earlier = pmin(end, 0) - grid[1], later = pmax(end, 0), died = ifelse(death > grid[5], 0, ifelse(death <= 0, 1, 2)))
stopifnot(sum(people$died > 0) >= 5)
write.csv(rows, "joint_slope_values.csv", row.names = FALSE); write.csv(people, "joint_slope_people.csv", row.names = FALSE)
us <- seq(-9, 9, .01) # the patient's slope: the trapezoid rule, whose error is nil for a smooth density that is 0 at both ends
ll <- function(t) {
  if (any(abs(t[4:10]) > 12)) return(-1e6)
  sd <- exp(t[4:7]); total <- 0
  for (i in 1:n) {
    k <- rows$patient == i; m <- rows$months[k]; X <- cbind(1, m, pmax(m, 0)); r <- rows$value[k] - X %*% t[1:3]
    V <- sd[1]^2 + sd[3]^2 * tcrossprod(X[, 3]) + sd[4]^2 * diag(length(m)); inv <- solve(V); half <- -.5 * c(determinant(V)$modulus) - length(m) / 2 * log(2 * pi)
    exposure <- sum(exp(t[8:9]) * c(people$earlier[i], people$later[i])); d <- people$died[i]
    z <- X[, 2] * sd[2]; q <- c(t(r) %*% inv %*% r, t(r) %*% inv %*% z, t(z) %*% inv %*% z)
    f <- half - .5 * (q[1] - 2 * us * q[2] + us^2 * q[3]) + (if (d > 0) t[7 + d] + t[10] * us else 0) - exposure * exp(pmin(t[10] * us, 40)) + dnorm(us, log = TRUE)
    total <- total + max(f) + log(sum(exp(f - max(f))) * (us[2] - us[1]))
  }
  total
}
climb <- function(start, held = NULL) {
  free <- setdiff(1:10, held); f <- function(x) { t <- start; t[free] <- x; -ll(t) }
  x <- start[free]
  for (k in 1:2) x <- optim(x, f, method = "BFGS", control = list(reltol = 1e-12, maxit = 500, parscale = pmax(abs(x), .1)))$par
  list(t = replace(start, free, x), value = -f(x))
}
best <- climb(c(38, -.9, -.2, log(c(3, .6, .3, .8)), log(c(.03, .05)), -.9))
null <- climb(replace(best$t, 3, 0), 3); alone <- climb(replace(best$t, 10, 0), 10)
p <- function(l) 2 * pt(-sqrt((n - 1) * (exp(2 * (best$value - l) / n) - 1)), n - 1)
allowed <- n * log(1 + qt(.975, n - 1)^2 / (n - 1)); profile <- function(x) 2 * (best$value - climb(replace(best$t, 3, x), 3)$value) - allowed
high <- uniroot(profile, c(best$t[3] + .05, best$t[3] + 1), tol = 1e-5)$root
found <- data.frame(quantity = c("estimate", "ci_high", "p_value", "association", "association_p", "log_likelihood"),
  value = sprintf("%.8g", c(best$t[3], high, p(null$value), best$t[10], p(alone$value), best$value)))
write.csv(found, row.names = FALSE)
