# Responses: fresh random data. Exact binomial, McNemar and Fisher tests are R's own; the generalised estimating equations
# are geepack's, Mancl and DeRouen's covariance is written out from its fit.
# Run in this folder: Rscript responses.R > responses_R.csv
suppressMessages(library(geepack))
set.seed(20261129)
n <- 14; days <- c(15, 29, 43, 57, 71)
odds <- rnorm(n, -.4, 1.2)
y <- t(sapply(odds, function(o) rbinom(5, 1, plogis(o + .5 * (0:4)))))
y[cbind(sample(n, 6), sample(5, 6, TRUE))] <- NA
d <- data.frame(patient = rep(1:n, each = 5), day = rep(days, n), response = as.vector(t(y)))
write.csv(d, "responses.csv", row.names = FALSE, na = "")
k <- d[!is.na(d$response), ]; k$time <- (k$day - mean(days)) / 28
fit <- geeglm(response ~ time, id = patient, data = k, family = binomial, corstr = "exchangeable",
              control = geese.control(epsilon = 1e-12, maxit = 500))
X <- model.matrix(~ time, k); mu <- fitted(fit); beta <- coef(fit)
alpha <- fit$geese$alpha[[1]]; phi <- fit$geese$gamma[[1]]
parts <- lapply(split(seq_len(nrow(k)), k$patient), function(i) {
  A <- mu[i] * (1 - mu[i]); D <- X[i, , drop = FALSE] * A
  R <- matrix(alpha, length(i), length(i)); diag(R) <- 1
  V <- phi * diag(sqrt(A), length(i)) %*% R %*% diag(sqrt(A), length(i))
  list(D = D, W = solve(V), r = k$response[i] - mu[i]) })
B <- solve(Reduce(`+`, lapply(parts, function(p) t(p$D) %*% p$W %*% p$D)))
meat <- function(correct) Reduce(`+`, lapply(parts, function(p) {
  H <- p$D %*% B %*% t(p$D) %*% p$W; r <- if (correct) solve(diag(nrow(H)) - H, p$r) else p$r
  u <- t(p$D) %*% p$W %*% r; u %*% t(u) }))
se <- sqrt((B %*% meat(TRUE) %*% B)[2, 2]); plain <- sqrt((B %*% meat(FALSE) %*% B)[2, 2])
stopifnot(abs(plain / summary(fit)$coefficients[2, 2] - 1) < 1e-6)
t <- qt(.975, n - 2)
gee <- data.frame(test = "gee", quantity = c("estimate", "ci_low", "ci_high", "p_value"),
  value = c(exp(beta[[2]]), exp(beta[[2]] - t * se), exp(beta[[2]] + t * se), 2 * pt(-abs(beta[[2]] / se), n - 2)))
tests <- list(binomial = binom.test(7, 10, .4), binomial_few = binom.test(1, 13, .3))
rows <- do.call(rbind, lapply(names(tests), function(name) { b <- tests[[name]]
  data.frame(test = name, quantity = c("estimate", "ci_low", "ci_high", "p_value"), value = c(100 * b$estimate, 100 * b$conf.int, b$p.value)) }))
m <- binom.test(7, 9, .5); ci <- m$conf.int  # 7 into response, 2 out of it: the exact form of McNemar's test
mc <- data.frame(test = "mcnemar", quantity = c("estimate", "ci_low", "ci_high", "p_value"), value = c(7 / 2, ci / (1 - ci), m$p.value))
f <- fisher.test(matrix(c(8, 4, 3, 11), 2, byrow = TRUE))
fi <- data.frame(test = "fisher", quantity = c("estimate", "ci_low", "ci_high", "p_value"), value = c(f$estimate, f$conf.int, f$p.value))
found <- rbind(rows, mc, fi, gee)
found$value <- sprintf("%.10g", found$value)
write.csv(found, row.names = FALSE)
