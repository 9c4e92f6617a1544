# Mixed model for repeated measures with visits missing by what an earlier visit showed: fresh random data, nlme's fit,
# and the standard error of this project by an enumeration of its own (numeric derivatives only).
# Run in this folder: Rscript repeated_measures.R > repeated_measures_R.csv
library(nlme)
set.seed(20261126)
n <- 14; visits <- 4
level <- matrix(rnorm(n, -3, .5), n, visits) + outer(rnorm(n, .1, .3), c(0, .4, .7, 1)) + matrix(rnorm(n * visits, 0, .2), n)
change <- level[, 2] - level[, 1]
for (i in order(change)[1:4]) level[i, 3:4] <- NA
level[2, 2] <- NA
batch <- matrix(rbinom(n * visits, 1, .5), n)
rows <- data.frame(patient = rep(1:n, visits), visit = rep(1:visits, each = n), batch = c(batch), level = c(level))
rows <- rows[!is.na(rows$level), ]
write.csv(rows, "repeated_measures.csv", row.names = FALSE)

reported <- function(model, formula) {
  fit <- gls(formula, rows, correlation = corSymm(form = ~ visit | patient), weights = varIdent(form = ~ 1 | visit),
             method = "REML", control = glsControl(tolerance = 1e-12, msTol = 1e-12, maxIter = 500, msMaxIter = 500))
  S <- getVarCov(fit, individual = "1")
  sds <- fit$sigma * c(1, coef(fit$modelStruct$varStruct, unconstrained = FALSE))
  R <- diag(visits); R[lower.tri(R)] <- coef(fit$modelStruct$corStruct, unconstrained = FALSE); R <- pmax(R, t(R) * upper.tri(R))
  R[upper.tri(R)] <- t(R)[upper.tri(R)]
  S <- diag(sds) %*% R %*% diag(sds)
  X <- model.matrix(formula, rows); beta <- coef(fit)
  at <- which(upper.tri(S, diag = TRUE)); K <- length(at)
  filled <- function(theta) { M <- matrix(0, visits, visits); M[at] <- theta; M[lower.tri(M)] <- t(M)[lower.tri(M)]; M }
  patients <- split(seq_len(nrow(rows)), rows$patient)
  # REML log likelihood of the means and the covariance together, without profiling
  joint <- function(b, theta) {
    M <- filled(theta); value <- 0; info <- 0
    for (k in patients) {
      V <- M[rows$visit[k], rows$visit[k], drop = FALSE]; r <- rows$level[k] - X[k, , drop = FALSE] %*% b
      value <- value - .5 * (log(det(V)) + t(r) %*% solve(V, r)); info <- info + t(X[k, , drop = FALSE]) %*% solve(V, X[k, , drop = FALSE])
    }
    c(value - .5 * log(det(info)) - .5 * (nrow(rows) - ncol(X)) * log(2 * pi))
  }
  p <- length(beta); theta <- S[at]; whole <- c(beta, theta)
  f <- function(z) joint(z[1:p], z[-(1:p)])
  step <- 2e-4 * pmax(abs(whole), .05); H <- matrix(0, p + K, p + K)
  for (i in 1:(p + K)) for (j in 1:i) {
    e <- function(a, b) { z <- whole; z[i] <- z[i] + a * step[i]; z[j] <- z[j] + b * step[j]; f(z) }
    H[i, j] <- H[j, i] <- (e(1, 1) - e(1, -1) - e(-1, 1) + e(-1, -1)) / (4 * step[i] * step[j])
  }
  inverse <- solve(-H); observed <- inverse[1:p, 1:p]; spread <- inverse[-(1:p), -(1:p)]
  phi <- function(theta) { M <- filled(theta); info <- 0
    for (k in patients) info <- info + t(X[k, , drop = FALSE]) %*% solve(M[rows$visit[k], rows$visit[k], drop = FALSE], X[k, , drop = FALSE])
    solve(info) }
  C <- phi(theta)
  # Kenward and Roger 1997, equations 3 to 5, with whole matrices; expected information of the covariance
  V <- matrix(0, nrow(rows), nrow(rows)); M <- filled(theta)
  same <- outer(rows$patient, rows$patient, "=="); V[same] <- M[cbind(rows$visit[row(V)[same]], rows$visit[col(V)[same]])]
  W <- solve(V); dV <- lapply(at, function(a) { E <- matrix(0, visits, visits); E[a] <- 1; E <- pmax(E, t(E)); D <- V * 0
    D[same] <- E[cbind(rows$visit[row(V)[same]], rows$visit[col(V)[same]])]; D })
  PR <- W - W %*% X %*% C %*% t(X) %*% W
  I <- matrix(0, K, K); for (i in 1:K) for (j in 1:K) I[i, j] <- .5 * sum(diag(PR %*% dV[[i]] %*% PR %*% dV[[j]]))
  known <- solve(I); P <- lapply(dV, function(D) -t(X) %*% W %*% D %*% W %*% X); bias <- 0
  for (i in 1:K) for (j in 1:K) bias <- bias + known[i, j] * (t(X) %*% W %*% dV[[i]] %*% W %*% dV[[j]] %*% W %*% X - P[[i]] %*% C %*% P[[j]])
  L <- rep(0, p); L[1] <- -1; L[visits] <- 1
  slope <- sapply(1:K, function(k) { z <- theta; h <- 1e-5; z[k] <- z[k] + h; up <- phi(z); z[k] <- z[k] - 2 * h
    t(L) %*% ((up - phi(z)) / (2 * h)) %*% L })
  v <- c(t(L) %*% C %*% L)
  data.frame(model = model, quantity = c("estimate", "se_known", "se_kenward_roger", "se", "df", "log_likelihood"),
    value = c(sum(L * beta), sqrt(v), sqrt(c(t(L) %*% (C + 2 * C %*% bias %*% C) %*% L)),
              sqrt(c(t(L) %*% (observed + C %*% bias %*% C) %*% L)), 2 * v^2 / c(t(slope) %*% spread %*% slope), c(logLik(fit))))
}
found <- rbind(reported("visits", level ~ 0 + factor(visit)), reported("visits and batch", level ~ 0 + factor(visit) + batch))
found$value <- sprintf("%.10g", found$value)
write.csv(found, row.names = FALSE, quote = FALSE)
