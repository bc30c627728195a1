mod doors;
