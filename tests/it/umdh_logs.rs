//! UMDH logs through the pipeline: the sample's, the real comparison, our own exporter's, damaged ones.

mod console;
mod damage;
mod join;
mod real;
mod sample;
