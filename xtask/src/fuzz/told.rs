//! What libFuzzer says of a run.

use std::fmt;

/// The figures of a run, as far as they were told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Inputs tried.
    executions: u64,
    /// Edges of the program that were reached.
    coverage: u64,
    /// Inputs that reached something new and were kept.
    new: u64,
}

impl Told {
    /// Takes in a line.
    pub(super) fn take(&mut self, line: &str) {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        if let Some(rest) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = number(rest).unwrap_or(self.executions);
        } else if let Some(rest) = line.strip_prefix("stat::new_units_added:") {
            self.new = number(rest).unwrap_or(self.new);
        } else if let Some((count, rest)) = line.strip_prefix('#').and_then(|line| line.split_once('\t')) {
            // `#4096`, a tab, `pulse  cov: 61 ft: 62 corp: 3/9b ...`: what is known if the run ends in a finding.
            self.executions = number(count).unwrap_or(self.executions);
            let mut words = rest.split_whitespace().skip_while(|word| *word != "cov:");
            self.coverage = words.nth(1).and_then(number).unwrap_or(self.coverage);
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            executions,
            coverage,
            new,
        } = self;
        write!(f, "{executions:>9} runs  {coverage:>6} edges  {new:>5} new inputs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_figures_count() {
        let mut told = Told::default();
        for line in [
            "INFO: Seed: 1",
            "#23\tINITED cov: 60 ft: 61 corp: 2/8b exec/s: 0 rss: 27Mb",
            "#4096\tpulse  cov: 61 ft: 62 corp: 3/9b lim: 43 exec/s: 2048 rss: 27Mb",
            "#5000\tDONE   cov: 70 ft: 80 corp: 3/9b lim: 43 exec/s: 2048 rss: 27Mb",
            "stat::number_of_executed_units: 5001",
            "stat::new_units_added:          7",
            "# a comment",
        ] {
            told.take(line);
        }
        assert_eq!(
            told,
            Told {
                executions: 5001,
                coverage: 70,
                new: 7
            }
        );
        assert_eq!(told.to_string(), "     5001 runs      70 edges      7 new inputs");
    }
}
