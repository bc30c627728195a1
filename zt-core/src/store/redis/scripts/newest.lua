redis.call('DEL', KEYS[3])
return digits(newest)
