-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Totals of an hour, as the relays have added them up.  The key is stats:{HOUR};
-- the others, stats:{HOUR}:written and top:{HOUR}:..., are in its slot.  The
-- arguments are who writes, the number of the batch, how many fields there are,
-- each field with its count, and then for each user and account the kind, the
-- name and four counts.  A batch whose reply was lost is written again: it
-- counts if it has a higher number than the last one of who writes it.

do

local STATS_KEPT = 36 * 86400	-- seconds from the last batch on
local TOP_KEPT = 50 * 3600
local BEFORE = { user = '', account = 'account:' }
local TOPS = { 'messages', 'recipients', 'bytes', 'blocks' }

local function is_count(text)
	return parse_digits(text or '', 15)
end

-- The place of the last count of a field; nil where that is no batch.
local function end_of_fields(args)
	if not is_count(args[2]) or not is_count(args[3]) then
		return nil
	end
	local last = 3 + 2 * tonumber(args[3])
	if last > #args or (#args - last) % 6 ~= 0 then
		return nil
	end
	for i = 5, last, 2 do
		if not is_count(args[i]) then
			return nil
		end
	end
	return last
end

local function need_batch(args)
	need_sizes(args)
	local last = end_of_fields(args)
	local good = last
	for i = (last or #args) + 1, #args do
		local place = (i - last) % 6
		good = good and (place == 2 or place == 1 and BEFORE[args[i]] or
		    place ~= 1 and is_count(args[i]))
	end
	if not good then
		fail('INVALID', 'not a batch of totals')
	end
	return last
end

-- What is there and is no total is replaced by one.
local function add_count(command, key, by, name, put)
	local first, second = by, name
	if command == 'HINCRBY' then
		first, second = name, by
	end
	local reply = redis.pcall(command, key, first, second)
	if type(reply) ~= 'table' or not reply.err then
		return
	end
	if string.find(reply.err, '^WRONGTYPE') then
		redis.call('DEL', key)
	end
	redis.call(put, key, first, second)
end

local function add_field(key, name, by)
	add_count('HINCRBY', key, by, name, 'HSET')
end

local function add_member(key, name, by)
	if by ~= '0' then
		add_count('ZINCRBY', key, by, name, 'ZADD')
	end
end

-- Whether this batch is not there yet; it is from now on.
local function is_new(key, who, number)
	local reply = redis.pcall('HMGET', key, who)
	if reply.err then
		redis.call('DEL', key)
		reply = {}
	end
	if tonumber(number) <= (tonumber(reply[1] or 0) or 0) then
		return false
	end
	redis.call('HSET', key, who, number)
	redis.call('EXPIRE', key, TOP_KEPT)
	return true
end

-- Replies whether it was counted: 1, or 0 where it had been already.
function api.count(keys, args)
	local stats = keys[1] or ''
	local before, hour = string.match(stats, '^(.*)stats:({[%dT-]+})$')
	if not before then
		fail('INVALID', 'the call takes the key stats:{HOUR}')
	end
	local fields = need_batch(args)
	if not is_new(stats .. ':written', args[1], args[2]) then
		return 0
	end
	for i = 4, fields, 2 do
		add_field(stats, args[i], args[i + 1])
	end
	redis.call('EXPIRE', stats, STATS_KEPT)
	local used = {}
	for i = fields + 1, #args, 6 do
		for k = 1, #TOPS do
			local key = before .. 'top:' .. hour .. ':' ..
			    BEFORE[args[i]] .. TOPS[k]
			add_member(key, args[i + 1], args[i + 1 + k])
			used[key] = true
		end
	end
	for key in pairs(used) do
		redis.call('EXPIRE', key, TOP_KEPT)
	end
	return 1
end

end
