-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- The addresses that a user may send from, and the one that authenticates as
-- the user.

do

local SMALL_LIST = 512		-- entries that are all read

-- Whoever changes a list through here means it to restrict: neither a list that
-- is lost nor one that has become empty opens anything.
local function add_guard(steps, key)
	if (redis.call('HGET', key, 'restricted') or '') == '' then
		add_step(steps, 'HSET', key, { 'restricted', '1' })
	end
end

function api.user_ip_add(keys, args)
	local key, name = record_of(keys, USER)
	local ips = key .. ':ips'
	need(USER, key, name)
	need_words(args, 'range')
	need_set(ips)
	local ranges = members_of(args, canonical.range)
	local fresh = #ranges - for_words('SMISMEMBER', ips, ranges)
	if redis.call('SCARD', ips) + fresh > RANGES_MAX then
		fail('INVALID', name .. ': a list has at most ' .. RANGES_MAX ..
		    ' entries')
	end
	local steps = {}
	add_step(steps, 'SADD', ips, ranges)
	add_guard(steps, key)
	take(steps)
	return fresh
end

-- The entries that mean one of the ranges, however they are written.  IPv4
-- without a prefix is written in one way only.  A long list is canonical, or
-- the relay does not understand it either.
local function same_ranges(ips, wanted)
	local same = {}
	if redis.call('SCARD', ips) > SMALL_LIST then
		return same
	end
	for _, entry in ipairs(redis.call('SMEMBERS', ips)) do
		if not wanted[entry] and
		    not string.find(entry, '^%d+%.%d+%.%d+%.%d+$') and
		    wanted[range_or_nil(entry) or ''] then
			same[#same + 1] = entry
		end
	end
	return same
end

function api.user_ip_rm(keys, args)
	local key, name = record_of(keys, USER)
	local ips, texts, wanted = key .. ':ips', {}, {}
	need(USER, key, name)
	need_words(args, 'range')
	need_set(ips)
	for _, text in ipairs(args) do
		local range = range_or_nil(text)
		texts[#texts + 1] = text
		if range then
			texts[#texts + 1] = range ~= text and range or nil
			wanted[range] = true
		end
	end
	texts = members_of(append(texts, next(wanted) and
	    same_ranges(ips, wanted) or {}), tostring)
	local there = for_words('SMISMEMBER', ips, texts)
	if there > 0 then
		local steps = {}
		add_guard(steps, key)
		add_step(steps, 'SREM', ips, texts)
		take(steps)
	end
	return there
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

-- The key of the call and what the record holds; nil for that where it is not
-- what the caller thinks; the address that was there, or "".
local function ipauth_of(keys, args)
	local key, name = record_of(keys, USER)
	if #args < 1 or #args > 2 then
		fail('INVALID', 'the call takes an address, and the former one')
	end
	need(USER, key, name)
	if args[1] ~= '' then
		canonical.address(args[1])
	end
	local held = redis.call('HGET', key, 'ip_auth') or ''
	return key, (not args[2] or is_former(held, args[2])) and held or nil,
	    address_or_nil(held) or ''
end

-- Sets it, or clears it, and replies the address that was there.
function api.user_ipauth(keys, args)
	local _, held, former = ipauth_of(keys, args)
	if held then
		written(set_record, USER, keys, { 'ip_auth', args[1] })
	end
	return former
end

-- The steps of a cluster, where the two keys are in different slots: whoever
-- claims first and writes then, and releases first and clears then, lets nobody
-- in wherever it is cut.  This one writes the record.
function api.user_ipauth_only(keys, args)
	local key, held, former = ipauth_of(keys, args)
	local address = args[1] ~= '' and canonical.address(args[1])
	local steps, drop = {}, { 'ip_auth' }
	if held and address and held ~= address then
		add_step(steps, 'HSET', key, { 'ip_auth', address })
	elseif held and held ~= '' and not address then
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

function api.ip_claim(keys, args)
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

function api.ip_release(keys, args)
	local key, _, name = claim_of(keys, args)
	if owner_of(key) ~= name then
		return 0
	end
	return redis.call('UNLINK', key)
end

end
