//! What a model call costs, exactly, and what it can cost at most. Pure.
//!
//! A [`PriceBook`] is the catalogue shipped with the program plus the user's own prices. [`PriceBook::find`] gives the
//! [`ModelPrices`] of one model at one provider, which answer two questions:
//!
//! - [`ModelPrices::worst_case`], before a call: the most that the call described by a [`Demand`] can cost. This is what
//!   a hold reserves.
//! - [`ModelPrices::cost`], after it: what the [`model::Usage`] reported by the provider costs. This is what is booked.
//!
//! Their bond, tested as a property over the whole catalogue and every kind of work: usage within the demand never costs
//! more than its worst case. What breaks that bond (fees of tools that the provider runs, video, a model that searches as
//! often as it likes) is refused with a [`PriceError`] that says how to go on; nothing is priced at zero because it was not
//! understood. [`Field::classify`] is the table of what is computed, bounded and refused; [`PriceBook::classes`] says what
//! that makes of each model, and [`diff`] what another catalogue would change.
//!
//! A [`Price`] is an exact decimal. A call is summed in checked 128-bit integers and rounded up to a nano-dollar once,
//! at the end, the same way for both questions.

mod allowance;
mod amount;
mod book;
mod catalogue;
mod changes;
mod compact;
mod error;
mod fee;
mod field;
mod listed;
mod overrides;
mod picture;
mod price;
mod prices;
mod region;
mod report;
mod sheet;

pub use allowance::{Allowances, PictureTokens};
pub use book::PriceBook;
pub use changes::{Change, What, diff};
pub use compact::{CatalogueError, compact};
pub use error::PriceError;
pub use fee::SearchContext;
pub use field::{Class, Field, Place, Unit};
pub use overrides::{Dollars, Override, OverrideError, PerMillion};
pub use price::{Price, PriceTextError};
pub use prices::{Demand, ModelPrices};
pub use region::Region;
pub use report::Classes;
