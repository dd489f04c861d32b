use super::ScoreRows;
use crate::Result;

/// The mean of several images' scores, which have one size.
pub(crate) struct Mean<'a>(pub(crate) Vec<Box<dyn ScoreRows + Send + 'a>>);

impl ScoreRows for Mean<'_> {
    fn size(&self) -> [usize; 2] {
        self.0[0].size()
    }

    fn next_row(&mut self) -> Result<Vec<f32>> {
        let (first, others) = self.0.split_first_mut().expect("there is at least one");
        let mut mean = first.next_row()?;
        for other in &mut *others {
            let row = other.next_row()?;
            mean.iter_mut()
                .zip(row)
                .for_each(|(sum, score)| *sum += score);
        }
        if !others.is_empty() {
            let count = (others.len() + 1) as f32;
            mean.iter_mut().for_each(|score| *score /= count);
        }
        Ok(mean)
    }
}
