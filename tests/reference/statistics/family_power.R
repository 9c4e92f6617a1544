# Power after adjustment over a family: fresh random spreads and correlations, cohorts simulated by base R, p.adjust for Holm
# and Benjamini-Hochberg, limma's squeezeVar for borrowed variances.
# Run in this folder: Rscript family_power.R > family_power_R.csv
suppressMessages(library(limma))
set.seed(20261126)
K <- 12
sd <- round(runif(K, .3, .8), 3)
loading <- runif(K, -.2, .8); R <- outer(loading, loading); diag(R) <- 1
effect <- ifelse(seq_len(K) %% 3 == 0, 0, log(1.5))
write.csv(data.frame(sd, loading, effect), "family_power.csv", row.names = FALSE)
L <- chol(R)
simulate <- function(n, sims, rule, borrow) {
  hits <- matrix(0, sims, K)
  for (i in seq_len(sims)) {
    x <- sweep(matrix(rnorm(n * K), n) %*% L, 2, sd, "*")
    m <- colMeans(x) + effect; v <- apply(x, 2, var); df <- n - 1
    if (borrow) { s <- squeezeVar(v, df); v <- s$var.post; df <- min(df + s$df.prior, K * (n - 1)) }
    p <- 2 * pt(-abs(m) / sqrt(v / n), df)
    q <- switch(rule, none = p, fixed_sequence = cummax(p), p.adjust(p, rule))
    hits[i, ] <- q < .05
  }
  colMeans(hits)
}
cells <- expand.grid(n = c(8, 20), rule = c("none", "holm", "BH", "fixed_sequence"), borrow = c(FALSE, TRUE), stringsAsFactors = FALSE)
rows <- lapply(seq_len(nrow(cells)), function(i) data.frame(cells[i, ], endpoint = seq_len(K), power = simulate(cells$n[i], 4000, cells$rule[i], cells$borrow[i])))
write.csv(do.call(rbind, rows), row.names = FALSE, quote = FALSE)
