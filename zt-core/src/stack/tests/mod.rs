mod attacks;
mod doors;
