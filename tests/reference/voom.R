# expected values of tests/test_expression.py: Rscript voom.R voom_counts.csv voom_R.json
suppressMessages({library(limma); library(edgeR)})
a <- commandArgs(TRUE)
x <- as.matrix(read.csv(a[1], row.names = 1)); n <- ncol(x) / 2
batch <- c(rep("A", n), rep("B", 2), rep("A", n - 2))
patient <- factor(rep(seq_len(n), 2)); later <- rep(0:1, each = n)
d <- model.matrix(~ 0 + patient + batch + later)
f <- calcNormFactors(x); y <- DGEList(x); y$samples$norm.factors <- f
fit <- eBayes(lmFit(voom(y, d), d)); k <- ncol(d)
v <- function(z) paste0("[", paste(sprintf("%.15g", z), collapse = ", "), "]")
cat(sprintf('{"versions": "limma %s, edgeR %s", "batch": ["%s"], "factors": %s, "prior_df": %.15g, "prior_variance": %.15g,\n "estimate": %s,\n "t": %s,\n "p": %s,\n "df": %s}\n',
  packageVersion("limma"), packageVersion("edgeR"), paste(batch, collapse = '", "'), v(f), fit$df.prior, fit$s2.prior,
  v(fit$coef[, k]), v(fit$t[, k]), v(fit$p.value[, k]), v(fit$df.total)), file = a[2])
