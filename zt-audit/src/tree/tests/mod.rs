mod files;
mod large;
mod prover;
