//! The whole network as nodes, in the order of `crate::unetr`.

use super::config::{OnnxConfig, OnnxInput, OnnxOutput};
use super::decoder::{pr_up_block, unet_block, up_block};
use super::graph::{Graph, Value};
use super::layers::conv;
use super::proto::{self, element};
use super::scope::Attribute;
use super::vit::vit;
use crate::{Bias, Error, Parameters, UnetrConfig};

/// The graph of a network with these parameters.
pub(super) fn network(
    cfg: &UnetrConfig,
    parameters: &Parameters,
    options: &OnnxConfig,
) -> Result<proto::Graph, Error> {
    let mut graph = Graph::new(parameters);
    let images = input(&mut graph, cfg, &options.input)?;
    let logits = unetr(&mut graph, &images, cfg)?;
    output(&mut graph, &logits, options.output);
    Ok(graph.finish())
}

fn unetr(graph: &mut Graph<'_>, images: &Value, cfg: &UnetrConfig) -> Result<Value, Error> {
    let (feature, decoder) = (cfg.feature_size, cfg.decoder());
    let mut scope = graph.root();
    let (hidden_states, normed) = vit(scope.pp("vit"), images, &cfg.vit())?;
    let [tap2, tap3, tap4] = cfg.taps().map(|tap| &hidden_states[tap]);
    let [rows, columns] = cfg.vit().grid();
    let mut feature_map = |tokens: &Value| {
        let map = scope.transpose(tokens, &[2, 1]);
        scope.reshape(&map, &[cfg.hidden_size, rows, columns])
    };
    let [map2, map3, map4, dec4] = [tap2, tap3, tap4, &normed].map(&mut feature_map);

    let enc1 = unet_block(scope.pp("encoder1.layer"), images, feature, &decoder)?;
    let enc2 = pr_up_block(scope.pp("encoder2"), &map2, 2 * feature, 2, &decoder)?;
    let enc3 = pr_up_block(scope.pp("encoder3"), &map3, 4 * feature, 1, &decoder)?;
    let enc4 = pr_up_block(scope.pp("encoder4"), &map4, 8 * feature, 0, &decoder)?;

    let dec3 = up_block(scope.pp("decoder5"), &dec4, &enc4, &decoder)?;
    let dec2 = up_block(scope.pp("decoder4"), &dec3, &enc3, &decoder)?;
    let dec1 = up_block(scope.pp("decoder3"), &dec2, &enc2, &decoder)?;
    let dec0 = up_block(scope.pp("decoder2"), &dec1, &enc1, &decoder)?;
    conv(
        scope.pp("out.conv.conv"),
        &dec0,
        cfg.classes,
        1,
        Bias::Learned,
    )
}

/// The images as the network takes them.
fn input(graph: &mut Graph<'_>, cfg: &UnetrConfig, input: &OnnxInput) -> Result<Value, Error> {
    let (channels, [height, width]) = (cfg.in_channels, cfg.image_size);
    match input {
        OnnxInput::Normalized => {
            Ok(graph.input("images", element::FLOAT, &[channels, height, width]))
        }
        OnnxInput::Pixels { mean, std } => {
            let pixels = graph.input("images", element::UINT8, &[height, width, channels]);
            let mut scope = graph.root();
            let mut scope = scope.pp("normalize");
            // Bytes while they move: a quarter of the floats.
            let pixels = scope.transpose(&pixels, &[3, 1, 2]);
            let float = [("to", Attribute::Int(element::FLOAT.into()))];
            let xs = scope.node("Cast", &[&pixels], &float, &pixels.sizes::<3>());
            // As data pipelines compute it, so that the floats are the same.
            let shift = scope.channels("mean", &mean.map(|mean| mean * 255.))?;
            let xs = scope.binary("Sub", &xs, &shift);
            let scale = scope.channels("scale", &std.map(|std| 1. / (std * 255.)))?;
            Ok(scope.binary("Mul", &xs, &scale))
        }
    }
}

fn output(graph: &mut Graph<'_>, logits: &Value, output: OnnxOutput) {
    let [classes, height, width] = logits.sizes();
    let axis = ("axis", Attribute::Int(1));
    match output {
        OnnxOutput::Logits => graph.output(logits, "logits", element::FLOAT),
        OnnxOutput::Probabilities => {
            let dims = [classes, height, width];
            let ys = graph.root().node("Softmax", &[logits], &[axis], &dims);
            graph.output(&ys, "probabilities", element::FLOAT);
        }
        OnnxOutput::Classes => {
            let attributes = [axis, ("keepdims", Attribute::Int(0))];
            let ys = graph
                .root()
                .node("ArgMax", &[logits], &attributes, &[height, width]);
            graph.output(&ys, "classes", element::INT64);
        }
    }
}
