# Freezes what R says of binary predictions: Rscript classification.R > classification.json
# pROC (AUROC, DeLong), rms and Hmisc (calibration, splines), stats (glm, isoreg, prop.test, cor).
suppressPackageStartupMessages({library(pROC); library(rms); library(jsonlite)})

patients <- function(seed, n, shift, prevalence = 0.4, spread = 1, levels = NULL, stretch = 1, move = 0) {
  set.seed(seed)
  label <- rbinom(n, 1, prevalence)
  if (sum(label) < 2) label[1:2] <- 1
  a <- rnorm(n, label * shift, ifelse(label == 1, spread, 1))
  b <- 0.6 * a + 0.8 * rnorm(n, label * shift, 1)
  if (!is.null(levels)) {
    a <- as.numeric(cut(a, levels)); b <- as.numeric(cut(b, levels))
  }
  p <- plogis(stretch * (a - mean(a)) + qlogis(mean(label)) + move)
  list(label = label, a = round(a, 6), b = round(b, 6), p = round(p, 6))
}

sets <- list(
  plain = patients(1, 200, 1),
  heavy_ties = patients(2, 300, 1, levels = 5),
  few_positives = patients(3, 150, 1.2, prevalence = 0.04),
  n20 = patients(4, 20, 0.7),
  near_perfect = patients(5, 100, 3.2),
  unequal_spread = patients(6, 250, 1, spread = 3),
  too_extreme = patients(7, 400, 1, stretch = 2.5, move = 0.8),
  no_better_than_chance = patients(8, 200, 0),
  worse_than_chance = patients(9, 120, -0.8),
  two_values = patients(10, 80, 1, levels = 2)
)

newcombe <- function(value, m, n) {
  v <- function(t) { k <- (m + n) / 2 - 1; t * (1 - t) / (m * n) * (1 + k * (1 - t) / (2 - t) + k * t / (1 + t)) }
  f <- function(t) (t - value)^2 - qnorm(0.975)^2 * v(t)
  root <- function(from, to) if (f(from) * f(to) > 0) to else uniroot(f, c(from, to), tol = 1e-15)$root
  c(if (value <= 0) 0 else root(1e-12, value), if (value >= 1) 1 else root(value, 1 - 1e-12))
}

judge <- function(d) {
  y <- d$label; p <- d$p; n <- length(y); lp <- qlogis(pmin(pmax(p, 1e-6), 1 - 1e-6))
  ra <- roc(y, d$a, direction = "<", quiet = TRUE); rb <- roc(y, d$b, direction = "<", quiet = TRUE)
  test <- roc.test(ra, rb, method = "delong", paired = TRUE)
  cov_ab <- cov(ra, rb)
  large <- glm(y ~ offset(lp), family = binomial, control = list(epsilon = 1e-14, maxit = 100))
  joint <- glm(y ~ lp, family = binomial, control = list(epsilon = 1e-14, maxit = 100))
  vp <- val.prob(p, y, pl = FALSE)
  o <- order(p)
  groups <- tapply(y, p, mean); size <- tapply(y, p, length)
  pooled <- isoreg(rep(groups, size))$yf  # ties share their mean before violators are pooled
  refined <- mean((y[o] - pooled)^2)
  cut <- median(p)
  called <- as.integer(p >= cut)
  tp <- sum(called & y); fp <- sum(called & !y); fn <- sum(!called & y); tn <- sum(!called & !y)
  wilson <- function(x, k) as.numeric(suppressWarnings(prop.test(x, k, correct = FALSE))$conf.int)
  thresholds <- c(0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
  benefit <- sapply(thresholds, function(t) (sum(p >= t & y == 1) - t / (1 - t) * sum(p >= t & y == 0)) / n)
  out <- list(
    auc = as.numeric(auc(ra)), variance = var(ra, method = "delong"), covariance = cov_ab,
    delong_ci = as.numeric(ci.auc(ra, method = "delong"))[c(1, 3)],
    newcombe = newcombe(as.numeric(auc(ra)), sum(y), sum(!y)),
    auc_b = as.numeric(auc(rb)), z = as.numeric(test$statistic), p_value = test$p.value,
    sensitivities = rev(ra$sensitivities), specificities = rev(ra$specificities),
    youden = as.numeric(max(ra$sensitivities + ra$specificities)),
    in_the_large = c(coef(large), sqrt(vcov(large)[1])),
    joint = as.numeric(coef(joint)), joint_se = as.numeric(sqrt(diag(vcov(joint)))),
    val_prob = as.list(vp[c("Intercept", "Slope", "Brier", "C (ROC)")]),
    brier = mean((p - y)^2), brier_refined = refined,
    cut = cut, table = c(tp, fp, fn, tn),
    sensitivity = c(tp / (tp + fn), wilson(tp, tp + fn)), specificity = c(tn / (tn + fp), wilson(tn, tn + fp)),
    ppv = c(tp / (tp + fp), wilson(tp, tp + fp)), npv = c(tn / (tn + fn), wilson(tn, tn + fn)),
    accuracy = c((tp + tn) / n, wilson(tp + tn, n)), mcc = cor(called, y),
    f1 = 2 * tp / (2 * tp + fp + fn), thresholds = thresholds, net_benefit = benefit
  )
  knots <- quantile(lp, c(0.05, 0.35, 0.65, 0.95))
  if (min(sum(y), sum(!y)) >= 20 && all(diff(knots) > 1e-8)) {
    basis <- rcspline.eval(lp, knots = knots, inclx = TRUE, norm = 2)
    curve <- glm(y ~ basis, family = binomial, control = list(epsilon = 1e-14, maxit = 100))
    gap <- abs(fitted(curve) - p)
    out$knots <- as.numeric(knots)
    out$curve <- list(ici = mean(gap), e50 = median(gap), e90 = as.numeric(quantile(gap, 0.9)), emax = max(gap))
  }
  out
}

multi <- function(seed, n) {
  set.seed(seed)
  label <- sample(0:2, n, TRUE, c(0.5, 0.3, 0.2))
  raw <- matrix(rexp(3 * n), n) + 1.2 * diag(3)[label + 1, ]
  p <- round(raw / rowSums(raw), 4)
  colnames(p) <- c("0", "1", "2")
  list(label = label, p = p, hand_till = as.numeric(multiclass.roc(factor(label), p)$auc),
       one_vs_rest = sapply(1:3, function(k) as.numeric(auc(roc(label == k - 1, p[, k], direction = "<", quiet = TRUE)))))
}

found <- lapply(sets, function(d) list(patients = d, expected = judge(d)))
about <- list(R = R.version.string, pROC = as.character(packageVersion("pROC")), rms = as.character(packageVersion("rms")))
cat(toJSON(list(about = about, binary = found, several = lapply(c(11, 12), multi, n = 120)),
           digits = I(16), auto_unbox = TRUE, pretty = FALSE), "\n")
