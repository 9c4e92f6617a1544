# Repeated cycles, and slopes of two periods, each with independent random slopes: fresh random data, lmerTest's REML with
# Satterthwaite's degrees of freedom.
# Run in this folder: Rscript random_slopes.R > random_slopes_R.csv
suppressMessages(library(lmerTest))
set.seed(20261202)
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e6))
n <- 14
rows <- data.frame(patient = rep(1:n, each = 6), state = c("pre_dose", "peak", "trough", "peak", "trough", "peak"),
  cycle = c(NA, 1, 1, 2, 2, 3))
peak <- as.numeric(rows$state == "peak"); trough <- as.numeric(rows$state == "trough"); i <- rows$patient
a <- rnorm(n, 0, .5); response <- rnorm(n, .2, .3); extra <- rnorm(n, .3, .3); slope <- rnorm(n, .05, .2)
rows$level <- -3 + a[i] + response[i] * (peak + trough) + extra[i] * peak + slope[i] * ifelse(is.na(rows$cycle), 0, rows$cycle - 2) + rnorm(6 * n, 0, .15)
rows <- rows[-c(5, 9, 22, 36, 60), ]
write.csv(rows, "random_slopes_cycles.csv", row.names = FALSE)
rows$peak <- as.numeric(rows$state == "peak"); rows$trough <- as.numeric(rows$state == "trough"); rows$dosed <- rows$peak + rows$trough
rows$peak_trend <- ifelse(rows$peak > 0, rows$cycle - mean(rows$cycle[rows$peak > 0]), 0)
rows$trough_trend <- ifelse(rows$trough > 0, rows$cycle - mean(rows$cycle[rows$trough > 0]), 0)
rows$trend <- rows$peak_trend + rows$trough_trend
fit <- lmer(level ~ peak + trough + peak_trend + trough_trend + (1 | patient) + (0 + dosed | patient) + (0 + peak | patient) + (0 + trend | patient), rows, control = control)
stopifnot(!isSingular(fit))
contrast <- function(model, fit, contrasts) do.call(rbind, lapply(names(contrasts), function(name) {
  found <- contest(fit, matrix(contrasts[[name]], 1), joint = FALSE, confint = TRUE)
  data.frame(model = model, quantity = name, estimate = found[1, 1], ci_low = found[1, "lower"], ci_high = found[1, "upper"], df = found[1, "df"], p_value = found[1, ncol(found)])
}))
cycles <- contrast("cycles", fit, list(peak_over_baseline = c(0, 1, 0, 0, 0), trough_over_baseline = c(0, 0, 1, 0, 0),
  peak_over_trough = c(0, 1, -1, 0, 0), peak_trend = c(0, 0, 0, 1, 0), trough_trend = c(0, 0, 0, 0, 1)))

n <- 15
visits <- c(-24, -12, 0, 12, 24) * 7 / 30.4375
score <- data.frame(patient = rep(1:n, each = 5), months = rep(visits, n) + rnorm(5 * n, 0, .1))
score$months[seq(3, 5 * n, 5)] <- 0
i <- score$patient; a <- rnorm(n, 38, 4); slope <- rnorm(n, -.7, .4); change <- rnorm(n, -.3, .4)
score$value <- a[i] + slope[i] * score$months + change[i] * pmax(score$months, 0) + rnorm(5 * n, 0, .8)
score <- score[-c(4, 5, 20, 34, 35, 50), ]
write.csv(score, "random_slopes_score.csv", row.names = FALSE)
score$change <- pmax(score$months, 0)
fit <- lmer(value ~ months + change + (1 | patient) + (0 + months | patient) + (0 + change | patient), score, control = control)
stopifnot(!isSingular(fit))
slopes <- contrast("slopes", fit, list("earlier slope" = c(0, 1, 0), "later slope" = c(0, 1, 1), difference = c(0, 0, 1)))
found <- rbind(cycles, slopes)
found[3:7] <- lapply(found[3:7], function(x) sprintf("%.10g", x))
write.csv(found, row.names = FALSE)
