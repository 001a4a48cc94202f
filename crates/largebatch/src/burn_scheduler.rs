//! A schedule as a learning-rate scheduler of Burn.

use burn::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use largebatch_schedule::Schedule;

/// A [`Schedule`] as Burn's [`LrScheduler`], for a training loop or `Learner` of Burn.
///
/// The first call of `step` gives the rate of the first update, as PyTorch's scheduler has it before
/// its own first `step()`. The record holds the number of steps.
///
/// ```
/// use burn::lr_scheduler::LrScheduler;
/// use largebatch::BurnScheduler;
/// use largebatch::schedule::{Epochs, ScheduleConfig};
///
/// let cosine = ScheduleConfig::named("cosine")?.resolve(0.1, 1000, &Epochs::even(100))?;
/// let mut scheduler = BurnScheduler::from(cosine);
/// assert_eq!(scheduler.step(), 0.1);
/// # Ok::<(), largebatch::schedule::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BurnScheduler {
    schedule: Schedule,
    step: usize,
}

impl From<Schedule> for BurnScheduler {
    fn from(schedule: Schedule) -> Self {
        BurnScheduler { schedule, step: 0 }
    }
}

impl LrScheduler for BurnScheduler {
    fn step(&mut self) -> f64 {
        self.step += 1;
        self.schedule.lr(self.step - 1)
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new().with_scalar("step", self.step as u64)
    }

    fn load_record(&mut self, record: LrSchedulerRecord) {
        self.step = record.scalar::<u64>("step").map_or(0, |step| step as usize);
    }
}
