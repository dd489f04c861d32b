/// Whether a network is being trained or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Dropout is active and batch normalisation uses the statistics of the batch.
    Train {
        /// What every random draw of this forward pass derives from: another one each step, the
        /// same one to repeat a step exactly.
        seed: u64,
    },
    /// Nothing is random and batch normalisation uses its running statistics.
    Eval,
}
