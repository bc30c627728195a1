-- generation, grace, next generation
redis.call('SET', KEYS[1], arg())
return {'begun'}
