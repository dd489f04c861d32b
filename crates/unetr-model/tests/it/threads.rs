//! Results do not depend on the number of threads, bit for bit.

use candle_core::{DType, Device, Tensor};
use unetr_model::{Mode, Parameters, Unetr, UnetrConfig};
use unetr_ops::{CrossEntropyConfig, JaccardReduction, cross_entropy, soft_jaccard};

/// The logits and every gradient of one training step with so many threads.
fn step(threads: usize, batch: usize) -> Vec<Vec<f32>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        let cfg = UnetrConfig::small().with_image_size([64, 48]);
        let parameters = Parameters::new(5, DType::F32, &Device::Cpu);
        let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
        let count = batch * 64 * 48;
        let images: Vec<f32> = (0..3 * count)
            .map(|i| (i * i % 977) as f32 / 488. - 1.)
            .collect();
        let images = Tensor::from_vec(images, (batch, 3, 64, 48), &Device::Cpu).unwrap();
        let labels: Vec<u8> = (0..count).map(|i| (i / 7 % 3) as u8).collect();
        let labels = Tensor::from_vec(labels, (batch, 64, 48), &Device::Cpu).unwrap();
        let logits = model.forward(&images, Mode::Train { seed: 1 }).unwrap();
        let loss = (cross_entropy(&logits, &labels, &CrossEntropyConfig::default()).unwrap()
            + soft_jaccard(&logits, &labels, JaccardReduction::Mean, None).unwrap())
        .unwrap();
        let grads = loss.backward().unwrap();
        let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mut all = vec![values(&logits)];
        for (_, var) in parameters.trainable() {
            all.push(values(grads.get(&var).unwrap()));
        }
        all
    })
}

#[test]
fn a_training_step_is_the_same_with_any_number_of_threads() {
    for batch in [1, 3] {
        let one = step(1, batch);
        for threads in [2, 5] {
            assert!(
                step(threads, batch) == one,
                "{threads} threads, batch {batch}"
            );
        }
    }
}
