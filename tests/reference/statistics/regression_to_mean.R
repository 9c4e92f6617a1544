# Two visits before treatment, patients selected at the first: fresh random data; R's paired t of each pair of visits.
# Run in this folder: Rscript regression_to_mean.R > regression_to_mean_R.csv
set.seed(20261203)
mean <- rnorm(200, 6, 2.5); d <- data.frame(SCR = mean + rnorm(200, 0, 2), W0 = mean + rnorm(200, 0, 2), W10 = mean - 1 + rnorm(200, 0, 2))
d <- head(d[d$SCR >= 8, ], 14); d$W10[3] <- NA
write.csv(cbind(patient = paste0("P", 1:14), d), "regression_to_mean.csv", row.names = FALSE)
whole <- d[!is.na(d$W10), ]
row <- function(quantity, x, rho = NA) { t <- t.test(x)
  data.frame(quantity, n_patients = length(x), estimate = unname(t$estimate), ci_low = t$conf.int[1], ci_high = t$conf.int[2], df = unname(t$parameter), p_value = t$p.value, correlation = rho) }
found <- rbind(row("spontaneous change", d$W0 - d$SCR, cor(d$W0, d$SCR)), row("observed change", whole$W10 - whole$SCR), row("adjusted change", whole$W10 - whole$W0))
found[3:8] <- lapply(found[3:8], function(x) sprintf("%.12g", x))
write.csv(found, row.names = FALSE)
