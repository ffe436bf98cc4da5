//! Lines for machines, then a table for people.

/// One quotient and what it was to be.
struct Row {
    name: String,
    ratio: f64,
    bar: Option<f64>,
}

/// What a comparison found.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    figures: Vec<(String, f64)>,
}

impl Report {
    /// Adds a quotient ours / theirs; without a bar it is there for information.
    pub(crate) fn ratio(&mut self, name: impl Into<String>, ratio: f64, bar: Option<f64>) {
        self.rows.push(Row { name: name.into(), ratio, bar });
    }

    /// Adds a value that is no quotient.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.figures.push((name.into(), value));
    }

    pub(crate) fn print(&self) {
        for row in &self.rows {
            println!("ratio {} {:.3}", row.name, row.ratio);
        }
        for (name, value) in &self.figures {
            println!("figure {name} {value:.3}");
        }
        println!("\n{:<34} {:>6} {:>6}", "ours / theirs", "ratio", "bar");
        for Row { name, ratio, bar } in &self.rows {
            match bar {
                None => println!("{name:<34} {ratio:>6.3} {:>6}", "-"),
                Some(bar) => {
                    let verdict = if ratio <= bar { "met" } else { "MISSED" };
                    println!("{name:<34} {ratio:>6.3} {bar:>6.2}  {verdict}");
                }
            }
        }
    }
}
