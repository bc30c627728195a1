//! Money: a thousand requests at once, and the end of a month. Small applications of their own,
//! over sockets as well.

mod month;
mod naive;
mod race;

use super::Report;
use crate::Result;

pub(super) async fn play(report: &mut Report) -> Result<()> {
    report.past_the_gateway(true);
    race::play(report).await?;
    month::play(report).await?;
    report.past_the_gateway(false);
    Ok(())
}
