//! Charts as SVG and PNG, and the plain tables and sections that a page shows around them. Nothing
//! here knows where the numbers come from.
//!
//! [`Plot`] draws lines, marks, bands and contours from any numbers:
//!
//! ```
//! use largebatch_plot::{Plot, Scale};
//!
//! let squares = [1.0, 2.0, 4.0, 8.0].map(|b| (b, 0.9 / b));
//! let figure = Plot::new("variance", "Variance of the mini-batch gradient")
//!     .x("batch size", Scale::Log)
//!     .y("variance", Scale::Log)
//!     .points("measured", squares)
//!     .dashed("measured", [(1.0, 1.0), (8.0, 0.125)])
//!     .guide_x("N", 6.0)
//!     .caption("2,000 draws per point, seed 0; dashed: σ²/B.")
//!     .figure();
//! assert!(figure.svg().contains("batch size"));
//! ```
//!
//! [`draw`] has the pieces for charts of other kinds.

mod axis;
mod contour;
mod error;
mod figure;
mod frame;
mod name;
mod number;
mod plot;
mod png;
mod section;
mod series;
mod side;
mod svg;
mod theme;

pub use error::PlotError;
pub use figure::Figure;
pub use name::{capital, stem, stems};
pub use number::{duration, fixed, significant, whole};
pub use plot::Plot;
pub use png::Painter;
pub use section::{Section, Table};
pub use side::Scale;
pub use theme::style;

/// The pieces of a chart of your own: a [`Frame`](draw::Frame) with title, legend and axes, and the
/// marks in it.
pub mod draw {
    pub use crate::axis::{Axis, bulk, extent, tick_labels};
    pub use crate::frame::{Frame, Key, WIDTH};
    pub use crate::svg::{Anchor, COLOURS, Svg, Way, escape, fit, fits, px, width};
    pub use crate::theme::heat;
}
