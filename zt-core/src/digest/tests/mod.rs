mod field;
mod flowing;
