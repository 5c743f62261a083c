# What R says of simulated patients: survival, riskRegression, pec, prodlim and rms.
# Run as: Rscript survival.R > survival.json   (R 4.2.2; package versions are in the output)
suppressMessages({
  library(survival); library(prodlim); library(riskRegression); library(pec); library(rms); library(jsonlite)
})
options(warn = 1)

# Patients ---------------------------------------------------------------------------------------------------------

simulate <- function(seed, n, censoring, strength = 1, grid = 0, score = identity, causes = 1) {
  set.seed(seed)
  x <- rnorm(n)
  noise <- rnorm(n)
  other <- rnorm(n)
  hazard <- exp(strength * x) / 10
  latent <- rexp(n, hazard)
  end <- if (is.infinite(censoring)) rep(Inf, n) else rexp(n, 1 / censoring)
  event <- as.integer(latent <= end)
  if (causes > 1) event <- event * (1 + rbinom(n, causes - 1, plogis(-x - 0.5)))
  time <- pmin(latent, end)
  time <- if (grid > 0) ceiling(time / grid) * grid else signif(time, 6)
  list(time = time, event = event, a = signif(score(strength * x + 0.3 * noise), 6),
       b = signif(score(0.5 * strength * x + 0.8 * other), 6))
}

cohorts <- list(
  plain     = list(data = simulate(1, 150, 15), times = c(2, 5, 10)),
  heavyties = list(data = simulate(2, 300, 12, grid = 3), times = c(3, 6, 12)),
  censored  = list(data = simulate(3, 300, 1.1), times = c(0.5, 1, 2)),
  twenty    = list(data = simulate(4, 20, 12), times = c(3, 6, 9)),
  complete  = list(data = simulate(5, 100, Inf, grid = 0.5), times = c(2, 5, 10)),
  tiedrisk  = list(data = simulate(6, 200, 20, score = round), times = c(2, 5, 10)),
  binary    = list(data = simulate(7, 120, 8, grid = 1, score = function(s) as.numeric(s > 0)), times = c(2, 4, 8)),
  strong    = list(data = simulate(8, 150, 30, strength = 3), times = c(1, 5, 20)),
  noise     = list(data = simulate(9, 200, 10, strength = 0, grid = 2), times = c(2, 6, 10)),
  causes    = list(data = simulate(10, 250, 15, causes = 2), times = c(2, 5, 10)),
  tiedcauses = list(data = simulate(11, 300, 12, grid = 2, causes = 2), times = c(2, 6, 10))
)

# Predicted probability of the event by each time, below 1: an exponential model that trusts its score
predicted <- function(score, times) pmin(signif(1 - exp(-outer(exp(score), times / 10)), 8), 1 - 1e-8)

# Answers ----------------------------------------------------------------------------------------------------------

concordances <- function(d, tau) {
  one <- function(...) concordance(..., data = d, reverse = TRUE)
  harrell <- one(Surv(time, happened) ~ a)
  both <- lapply(c("a", "b"), function(s) one(reformulate(s, "Surv(time, happened)"), influence = 1))
  uno <- concordance(Surv(time, happened) ~ a, data = d, reverse = TRUE, timewt = "n/G2", ymax = tau)
  gap <- both[[1]]$dfbeta - both[[2]]$dfbeta
  list(harrell = harrell$concordance, variance = harrell$var, counts = harrell$count,
       difference = both[[1]]$concordance - both[[2]]$concordance, difference_variance = sum(gap^2),
       tau = tau, uno = uno$concordance, uno_variance_of_fixed_weights = uno$var)
}

scores <- function(d, times, cause) {
  guess <- list(a = predicted(d$a, times), b = predicted(d$b, times))
  found <- suppressMessages(Score(guess, Hist(time, event) ~ 1, data = d, times = times, cause = cause, metrics = c("auc", "brier"),
                 summary = "ipa", se.fit = TRUE, contrasts = list(c(2, 1)), null.model = TRUE, conservative = FALSE,
                 cens.model = "km", split.method = "none"))
  auc <- as.data.frame(found$AUC$score); brier <- as.data.frame(found$Brier$score)
  list(auc = auc, auc_difference = as.data.frame(found$AUC$contrasts), brier = brier,
       brier_difference = as.data.frame(found$Brier$contrasts))
}

pec_of <- function(d, times) {
  grid <- c(0, times)
  guess <- list(a = cbind(1, 1 - predicted(d$a, times)))
  found <- pec(guess, Surv(time, happened) ~ 1, data = d, times = grid, exact = FALSE, cens.model = "marginal",
               reference = FALSE, verbose = FALSE)
  list(brier = found$AppErr$a[-1], crps = as.numeric(crps(found, times = max(times))))
}

survivals <- function(d, times) {
  km <- summary(survfit(Surv(time, happened) ~ 1, data = d), times = times, extend = TRUE)
  list(surv = km$surv, std_err = km$std.err, at_risk = km$n.risk)
}

restricted <- function(d, tau) {
  each <- lapply(split(d, d$a > mean(d$a)), function(part) {
    summary(survfit(Surv(time, happened) ~ 1, data = part), rmean = tau)$table[c("rmean", "se(rmean)")]
  })
  test <- survdiff(Surv(time, happened) ~ I(a > mean(a)), data = d)
  list(tau = tau, low = each[["FALSE"]], high = each[["TRUE"]], log_rank = test$chisq)
}

calibrated <- function(d, horizon) {
  exact <- coxph.control(eps = 1e-12, toler.chol = 1e-13, iter.max = 50)
  slope <- coxph(Surv(time, happened) ~ a, data = d, ties = "efron", control = exact)
  risk <- predicted(d$a, horizon)[, 1]
  d$cll <- log(-log(1 - risk))
  knots <- quantile(d$cll, c(0.05, 0.35, 0.65, 0.95))
  bent <- all(diff(knots) > 1e-8 * diff(range(d$cll)))
  basis <- if (bent) rcspline.eval(d$cll, knots = knots, inclx = TRUE) else cbind(d$cll)
  fit <- coxph(Surv(d$time, d$happened) ~ basis, ties = "efron", control = exact)
  hazards <- exp(as.vector(basis %*% coef(fit)))
  seen <- sort(unique(d$time[d$happened == 1 & d$time <= horizon]))
  breslow <- sum(vapply(seen, function(t) sum(d$happened[d$time == t]) / sum(hazards[d$time >= t]), 0))
  smooth <- 1 - exp(-breslow * hazards)
  list(horizon = horizon, slope = unname(coef(slope)), slope_se = sqrt(slope$var[1, 1]), ici = mean(abs(smooth - risk)),
       e50 = median(abs(smooth - risk)), emax = max(abs(smooth - risk)))
}

benefit <- function(d, horizon, thresholds = c(0.1, 0.2, 0.3, 0.5)) {
  risk <- predicted(d$a, horizon)[, 1]
  vapply(thresholds, function(p) {
    flagged <- d[risk >= p, ]
    if (nrow(flagged) == 0) return(0)
    left <- summary(survfit(Surv(time, happened) ~ 1, data = flagged), times = horizon, extend = TRUE)$surv
    nrow(flagged) / nrow(d) * ((1 - left) - left * p / (1 - p))
  }, 0)
}

incidences <- function(d, times) {
  d$kind <- factor(d$event, 0:2)
  aj <- summary(survfit(Surv(time, kind) ~ 1, data = d), times = times, extend = TRUE)
  pl <- prodlim(Hist(time, event) ~ 1, data = d)
  place <- sindex(pl$time, times)
  list(first = aj$pstate[, 2], second = aj$pstate[, 3], std_err = aj$std.err[, 2],
       prodlim_se = pl$se.cuminc[["1"]][place])
}

answer <- function(cohort) {
  d <- as.data.frame(cohort$data); times <- cohort$times
  d$happened <- as.integer(d$event == 1)
  competing <- any(d$event > 1)
  scored <- scores(d, times, 1)
  said <- list(times = times, patients = cohort$data, predicted = list(a = predicted(d$a, times), b = predicted(d$b, times)), scores = scored, concordance = concordances(d, times[3]),
               kaplan_meier = survivals(d, times), restricted = restricted(d, times[2]))
  if (competing) said$incidence <- incidences(d, times)
  else said <- c(said, list(pec = pec_of(d, times), calibration = calibrated(d, times[2]),
                            benefit = benefit(d, times[2])))
  said
}

versions <- sapply(c("survival", "riskRegression", "pec", "prodlim", "rms"), function(p) as.character(packageVersion(p)))
cat(toJSON(list(r = R.version.string, packages = as.list(versions), cohorts = lapply(cohorts, answer)),
           digits = NA, auto_unbox = TRUE, na = "null", dataframe = "columns"))
