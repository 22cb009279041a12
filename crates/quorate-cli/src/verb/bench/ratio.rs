//! Ratios of paired windows, with the interval in which the true one lies.

use std::fmt;

/// Quantiles of Student's distribution for 95 %, by degrees of freedom from 1.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The geometric mean of ratios, and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Ratio {
    /// Of at least two pairs, each of two positive figures; `None` where there are fewer.
    pub(super) fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let logs: Vec<f64> =
            pairs.iter().filter(|(a, b)| *a > 0.0 && *b > 0.0).map(|(a, b)| (a / b).ln()).collect();
        let count = logs.len();
        if count < 2 {
            return None;
        }
        let mean = logs.iter().sum::<f64>() / count as f64;
        let variance =
            logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1) as f64;
        let student = STUDENT.get(count - 2).copied().unwrap_or(1.96);
        let half = student * (variance / count as f64).sqrt();
        Some(Self { mean: mean.exp(), low: (mean - half).exp(), high: (mean + half).exp() })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.mean, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pairs_have_a_ratio_without_a_width() {
        let ratio = Ratio::of(&[(2.0, 1.0), (4.0, 2.0), (6.0, 3.0)]).unwrap();
        assert_eq!(ratio.to_string(), "2.00 (2.00 to 2.00)");
    }

    #[test]
    fn noise_widens_the_interval_around_the_mean() {
        let ratio = Ratio::of(&[(2.0, 1.0), (3.0, 1.0), (2.5, 1.0), (2.4, 1.0)]).unwrap();
        assert!(ratio.low < 2.3 && ratio.high > 2.6 && (2.4..2.5).contains(&ratio.mean), "{ratio}");
    }

    #[test]
    fn one_pair_says_nothing() {
        assert_eq!(Ratio::of(&[(2.0, 1.0)]), None);
        assert_eq!(Ratio::of(&[(2.0, 1.0), (0.0, 1.0)]), None);
    }
}
