# Shift given no change of a concomitant dose: fresh random data, the intercept of R's lm with its t.
# Run in this folder: Rscript dose_sensitivity.R > dose_sensitivity_R.csv
set.seed(20261201)
n <- 11
dose_before <- 2.5 * sample(2:10, n, TRUE); dose_after <- pmax(0, dose_before - 2.5 * sample(-1:4, n, TRUE))
before <- rnorm(n, 1, .4); after <- before + .1 + .05 * (dose_after - dose_before) + rnorm(n, 0, .25)
dose_after[4] <- NA
write.csv(data.frame(patient = 1:n, before, after, dose_before, dose_after), "dose_sensitivity.csv", row.names = FALSE)
fit <- lm(I(after - before) ~ I(dose_after - dose_before)); limits <- confint(fit)[1, ]
value <- c(coef(fit)[1], limits, summary(fit)$coefficients[1, 4], nobs(fit))
write.csv(data.frame(quantity = c("estimate", "ci_low", "ci_high", "p_value", "n_pairs"), value = sprintf("%.12g", value)), row.names = FALSE)
