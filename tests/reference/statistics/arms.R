# Arms of unequal size and spread: fresh random data. The variance of the arms' difference is sandwich's, the arms' own
# variances and Satterthwaite's degrees of freedom are written out patient by patient; Welch's t is R's own.
# Run in this folder: Rscript arms.R > arms_R.csv
suppressMessages(library(sandwich))
set.seed(20261128)
sizes <- list(c(5, 9, 7), c(4, 12, 6), c(8, 8, 8))
make <- function(set, n) {
  arm <- rep(c("placebo", "low", "high"), n)
  sd <- c(placebo = .3, low = .8, high = 1.5)[arm]
  before <- rnorm(length(arm), 1, ifelse(arm == "high", 1.2, .7))
  data.frame(set = set, patient = paste0("P", seq_along(arm)), arm = arm, before = before,
             after = .4 + .6 * before + .3 * (arm == "high") + rnorm(length(arm), 0, sd))
}
d <- do.call(rbind, Map(make, seq_along(sizes), sizes))
write.csv(d, "arms.csv", row.names = FALSE)
# ex7_two_arm.csv, Treg of CD4 on the log odds with half an event added
x <- read.csv("ex7_two_arm.csv"); x$level <- log((x$treg + .5) / (x$cd4 - x$treg + .5))
w <- merge(x[x$visit == "baseline", ], x[x$visit == "on", ], by = "patient")
d <- rbind(d, data.frame(set = "ex7", patient = w$patient, arm = w$arm.x, before = w$level.x, after = w$level.y))
one <- function(set, active) {
  x <- d[d$set == set & d$arm %in% c("placebo", active), ]; x$active <- as.numeric(x$arm == active)
  fit <- lm(after ~ before + active, x); n <- nrow(x)
  M <- diag(n) - model.matrix(fit) %*% solve(crossprod(model.matrix(fit)), t(model.matrix(fit)))
  g <- list(x$active == 1, x$active == 0)
  # sums of squared residuals equal to their expectations
  K <- sapply(g, function(b) sapply(g, function(a) sum(M[a, b]^2)))
  s <- solve(K, sapply(g, function(a) sum(resid(fit)[a]^2)))
  sigma <- ifelse(g[[1]], s[1], s[2])
  V <- vcovHC(fit, omega = function(residuals, diaghat, df) sigma)["active", "active"]
  # V as a quadratic form of the responses: its weights by unit vectors of squared residuals
  w <- solve(crossprod(model.matrix(fit)), t(model.matrix(fit)))["active", ]
  a <- sapply(seq_len(n), function(i) { q <- sapply(g, function(b) as.numeric(b[i])); z <- solve(K, q)
    sum(w[g[[1]]]^2) * z[1] + sum(w[g[[2]]]^2) * z[2] })
  B <- M %*% diag(a) %*% M; S <- diag(sigma)
  df <- sum(diag(B %*% S))^2 / sum(diag(B %*% S %*% B %*% S))
  est <- coef(fit)[["active"]]; se <- sqrt(V); t <- qt(.975, df)
  y <- x$after - x$before; wt <- t.test(y[g[[1]]], y[g[[2]]])
  data.frame(set = set, arm = active, quantity = c("estimate", "se", "df", "ci_low", "ci_high", "p_value", "welch_df", "welch_low", "welch_p"),
             value = c(est, se, df, est - t * se, est + t * se, 2 * pt(-abs(est / se), df), wt$parameter, wt$conf.int[1], wt$p.value))
}
found <- do.call(rbind, c(lapply(1:3, function(s) rbind(one(s, "low"), one(s, "high"))), list(one("ex7", "active"))))
found$value <- sprintf("%.10g", found$value)
write.csv(found, row.names = FALSE)
