# Random-effects meta-analysis: fresh random studies, metafor's REML and Paule-Mandel with Hartung-Knapp (floor 1), Q-profile.
# Run in this folder: Rscript meta_analysis.R > meta_analysis_R.csv
suppressMessages(library(metafor))
set.seed(20261126)
sets <- list(spread = .4, little = .02, two = .3, many = .25)
k <- c(spread = 5, little = 5, two = 2, many = 12)
data <- do.call(rbind, lapply(names(sets), function(s) {
  se <- runif(k[s], .08, .35)
  data.frame(set = s, estimate = rnorm(k[s], .6, sets[[s]]) + rnorm(k[s], 0, se), se = se)
}))
write.csv(data, "meta_analysis.csv", row.names = FALSE)
rows <- list()
for (s in names(sets)) for (m in c("REML", "PM", "EE")) {
  d <- data[data$set == s, ]
  fit <- rma(estimate, sei = se, data = d, method = m, test = if (m == "EE") "z" else "adhoc", control = list(threshold = 1e-12, maxiter = 5000, tol = 1e-12))
  hk <- if (m == "EE") NA else sum(weights(fit, type = "diagonal") / 100 * sum(1 / (d$se^2 + fit$tau2)) * (d$estimate - coef(fit))^2) / (nrow(d) - 1)
  limits <- if (m == "EE") c(NA, NA) else confint(fit)$random["tau^2", c("ci.lb", "ci.ub")]
  half <- if (m == "EE" || nrow(d) < 3) NA else qt(.975, nrow(d) - 2) * sqrt(fit$tau2 + fit$se^2)
  rows[[length(rows) + 1]] <- data.frame(set = s, model = m, estimate = coef(fit), se = fit$se, ci_low = fit$ci.lb,
    ci_high = fit$ci.ub, p_value = fit$pval, tau2 = if (m == "EE") NA else fit$tau2, tau2_low = limits[1], tau2_high = limits[2], factor = hk,
    q = fit$QE, q_p_value = fit$QEp, i2 = if (m == "EE") NA else fit$I2, predicted_low = coef(fit) - half, predicted_high = coef(fit) + half, weight_1 = weights(fit)[1])
}
write.csv(format(do.call(rbind, rows), digits = 10), row.names = FALSE, quote = FALSE)
