-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- The addresses that a user may send from, and the one that authenticates as
-- the user.  An address does so only where ip:{ADDR} names the user and the
-- user's ip_auth is that address.  The two are in different slots of a cluster:
-- whoever claims first and sets then, and releases first and clears then, lets
-- nobody in wherever it is cut.

local function user_ip_add(keys, args)
	local key, name = record_of(keys, USER)
	need_words(args, 'range')
	local ranges = members_of(args, canonical.range)
	local ips = key .. ':ips'
	need(USER, key, name)
	need_set(ips)
	local fresh = #ranges - for_words('SMISMEMBER', ips, ranges)
	if redis.call('SCARD', ips) + fresh > RANGES_MAX then
		fail('INVALID', name .. ': a list has at most ' .. RANGES_MAX ..
		    ' entries')
	end
	return for_words('SADD', ips, ranges)
end

-- The entries that mean one of the ranges, however they are written.  IPv4
-- without a prefix is written in one way only.
local function same_ranges(ips, wanted)
	local same = {}
	for _, entry in ipairs(redis.call('SMEMBERS', ips)) do
		if not wanted[entry] and
		    not string.find(entry, '^%d+%.%d+%.%d+%.%d+$') and
		    wanted[range_or_nil(entry) or ''] then
			same[#same + 1] = entry
		end
	end
	return same
end

local function user_ip_rm(keys, args)
	local key, name = record_of(keys, USER)
	need_words(args, 'range')
	local texts, wanted = {}, {}
	for _, text in ipairs(args) do
		local range = range_or_nil(text)
		texts[#texts + 1] = text
		texts[#texts + 1] = range
		if range then
			wanted[range] = true
		end
	end
	local ips = key .. ':ips'
	need(USER, key, name)
	need_set(ips)
	local same = next(wanted) and same_ranges(ips, wanted) or {}
	return for_words('SREM', ips, texts) + for_words('SREM', ips, same)
end

-- IP authentication

-- Whether what a record holds is what the caller thinks that it is.
local function is_former(held, former)
	if held == former then
		return true
	end
	local address = former ~= '' and canonical.address(former)
	return address and address_or_nil(held) == address
end

-- Replies the address that was there.
local function user_ipauth(keys, args)
	local key, name = record_of(keys, USER)
	if #args < 1 or #args > 2 then
		fail('INVALID', 'the call takes an address, and the former one')
	end
	local address = args[1] ~= '' and canonical.address(args[1])
	need(USER, key, name)
	local held = redis.call('HGET', key, 'ip_auth')
	local former = address_or_nil(held or '') or ''
	if args[2] and not is_former(held or '', args[2]) then
		return former
	end
	local steps, drop = {}, { 'ip_auth' }
	if address and held ~= address then
		add_step(steps, 'HSET', key, { 'ip_auth', address })
	elseif held and not address then
		add_step(steps, 'HSET', key, filling(USER, key, {}, drop))
		add_step(steps, 'HDEL', key, drop)
	end
	take(steps)
	return former
end

-- The key of an address, the address, and the user.
local function claim_of(keys, args)
	if #keys ~= 1 or #args ~= 1 then
		fail('INVALID', 'the call takes one key, of the form ' ..
		    'PREFIXip:{ADDR}, and the name of a user')
	end
	local key = keys[1]
	local prefix, text = string.match(key, '^([!-z|~]+)ip:{([^{}]*)}$')
	if not prefix or #prefix > PREFIX_MAX then
		invalid(key, 'not the key of an address: PREFIXip:{ADDR}')
	end
	local address = canonical.address(text)
	if address ~= text then
		invalid(text, 'in a key this address is written as ' .. address)
	end
	local name = canonical.name(args[1])
	local found = type_of(key)
	if found ~= 'string' and found ~= 'none' then
		wrong_type(key, 'string')
	end
	return key, address, name
end

-- The relay folds the name too, and takes what is none for nobody.
local function owner_of(key)
	return (try(canonical.name, redis.call('GET', key) or ''))
end

local function ip_claim(keys, args)
	local key, address, name = claim_of(keys, args)
	local owner = owner_of(key)
	if owner == name then
		return 0
	elseif owner then
		fail('INUSE', address .. ': another user has this address')
	end
	redis.call('SET', key, name)
	return 1
end

local function ip_release(keys, args)
	local key, _, name = claim_of(keys, args)
	if owner_of(key) ~= name then
		return 0
	end
	return redis.call('DEL', key)
end

