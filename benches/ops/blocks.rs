//! Whole blocks of the network.

use candle_core::Result;
use unetr::ops::{
    Affine, Dense, EncoderBlock, Gelu, Keep, NormedConv, ResidualBlock, encoder_block,
    residual_block,
};

use crate::cases::{BATCH, EPS, HEADS, HIDDEN, SIZE, SLOPE, TOKENS, case};
use crate::flops;
use crate::row::Work;
use crate::suite::Suite;

pub(crate) fn blocks(suite: &mut Suite) -> Result<()> {
    for (batch, tokens, hidden) in [(BATCH, TOKENS, HIDDEN), (8, 64, 192)] {
        encoder(suite, batch, tokens, hidden)?;
    }
    residual(suite, 32, 16, SIZE)
}

fn encoder(suite: &mut Suite, batch: usize, tokens: usize, hidden: usize) -> Result<()> {
    let mlp = 4 * hidden;
    let shape = format!("[{batch},{tokens},{hidden}], {HEADS} heads");
    let work = Work::product(flops::encoder_block(batch, tokens, hidden, mlp));
    let mut arguments = vec![vec![batch, tokens, hidden]];
    arguments.extend(vec![vec![hidden]; 4]);
    for (rows, columns) in [
        (3 * hidden, hidden),
        (hidden, hidden),
        (mlp, hidden),
        (hidden, mlp),
    ] {
        arguments.extend([vec![rows, columns], vec![rows]]);
    }
    let arguments: Vec<&[usize]> = arguments.iter().map(Vec::as_slice).collect();
    suite.differentiable(&case("encoder_block", &shape, work), &arguments, |x| {
        let norm = |i: usize| Affine {
            weight: &x[i],
            bias: &x[i + 1],
        };
        let dense = |i: usize| Dense {
            weight: &x[i],
            bias: Some(&x[i + 1]),
        };
        let block = EncoderBlock {
            norm1: norm(1),
            norm2: norm(3),
            qkv: dense(5),
            projection: dense(7),
            linear1: dense(9),
            linear2: dense(11),
            heads: HEADS,
            gelu: Gelu::Tanh,
            eps: EPS,
            keep: Keep::Activations,
        };
        encoder_block(&x[0], &block)
    })
}

fn residual(suite: &mut Suite, inputs: usize, outputs: usize, size: usize) -> Result<()> {
    let shape = format!("[{BATCH},{inputs},{size},{size}] -> {outputs}");
    let work = Work::product(flops::residual_block(BATCH, inputs, outputs, size));
    let mut arguments: Vec<&[usize]> = Vec::new();
    let xs = [BATCH, inputs, size, size];
    let weights = [
        [outputs, inputs, 3, 3],
        [outputs, outputs, 3, 3],
        [outputs, inputs, 1, 1],
    ];
    let channels = [outputs];
    arguments.push(&xs);
    for weight in &weights {
        arguments.extend::<[&[usize]; 3]>([weight, &channels, &channels]);
    }
    suite.differentiable(&case("residual_block", &shape, work), &arguments, |x| {
        let conv = |i: usize| NormedConv {
            weight: &x[i],
            affine: Some(Affine {
                weight: &x[i + 1],
                bias: &x[i + 2],
            }),
        };
        let block = ResidualBlock {
            first: conv(1),
            second: conv(4),
            shortcut: Some(conv(7)),
            eps: EPS,
            negative_slope: SLOPE,
        };
        residual_block(&[&x[0]], &block)
    })
}
