//! The choice of an instruction set while the program runs.

/// Compiles a loop once for every instruction set and runs the best; what the loop calls has to be inlined. `a·b + c` is
/// never contracted, so that results are the same everywhere.
macro_rules! vectorised {
    ($body:expr) => {{
        let once = $crate::simd::Once;
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                let _moved = once;
                $body
            },
        )
    }};
}
pub(crate) use vectorised;

/// What is moved into a closure can be moved there but once. A closure that could be called again would be called
/// through a function of the standard library, which is compiled for the oldest processor.
pub(crate) struct Once;
