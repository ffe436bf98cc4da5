//! Criterion on the thread's CPU time instead of the wall clock.

use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use std::time::Duration;

use crate::timing::cpu_nanos;

/// The thread's CPU time, in nanoseconds.
pub(crate) struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = f64;
    type Value = f64;

    fn start(&self) -> f64 {
        cpu_nanos()
    }

    fn end(&self, start: f64) -> f64 {
        cpu_nanos() - start
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, nanos: &f64) -> f64 {
        *nanos
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        // It takes nanoseconds too.
        WallTime.formatter()
    }
}

/// Criterion, configured from the command line, with times short enough for a whole bench in a minute.
pub(crate) fn criterion() -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args()
}
