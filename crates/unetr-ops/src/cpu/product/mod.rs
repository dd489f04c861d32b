//! Matrix products.
//!
//! After Goto and van de Geijn, *Anatomy of High-Performance Matrix Multiplication* (2008),
//! <https://doi.org/10.1145/1356052.1356053>: the depth is cut into blocks; of each block the columns of
//! a strip are packed into panels, which stay in the second-level cache while all rows pass by. Rows are
//! broadcast, so that those that are contiguous are read where they are. What is summed in which order
//! depends on the depth alone: results do not depend on the number of threads.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod bf16;
mod exact;
mod format;
mod job;
mod operand;
#[cfg(test)]
mod tests;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) use amx::Amx;
#[cfg(target_arch = "x86_64")]
pub(super) use bf16::Bf16;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) use bf16::{pack_lines, pack_pairs, round};
pub(super) use exact::Exact;
pub(crate) use job::Job;
pub(super) use job::{Order, UNITS};
pub(crate) use operand::{Contiguous, Operand};

pub(crate) use exact::tile;
pub(crate) use format::VECTORS as PANEL_VECTORS;
