-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What can be called.  A newer VERSION takes the place of an older one.

local VERSION = 2

local KINDS = {
	name = canonical.name,
	account = canonical.account,
	address = canonical.address,
	range = canonical.range,
	domain = canonical.domain,
	quota = canonical.quota,
	period = canonical.period,
	rate = canonical.rate,
	mode = canonical.mode,
	status = canonical.status,
	plan = canonical.plan,
	hash = canonical.hash,
	description = canonical.description,
	time = canonical.time,
}

local function canonical_texts(_, args)
	local texts = {}
	if #args % 2 ~= 0 then
		fail('INVALID', 'a kind without a text: they come in pairs')
	end
	for i = 1, #args, 2 do
		local check = KINDS[args[i]]
		if not check then
			invalid(args[i], 'not a kind of text')
		end
		texts[#texts + 1] = check(args[i + 1])
	end
	return texts
end

local function version()
	return VERSION
end

-- Errors that were raised here, and those of Redis, without the place in this
-- text where they were.
local function guarded(callback, keys, args)
	local ok, result = pcall(callback, keys, args)
	if ok then
		return result
	end
	local text = error_text(result)
	return text and { err = text } or error(result, 0)
end

-- The name, the function, its flag.  What takes something away from somebody
-- can be done also when the memory that Redis may use is used up; so can
-- setting fields, which blocks.  That adds no record, and no more than it is
-- given.
local functions = {
	{ 'check', check, 'no-writes' },
	{ 'reserve', reserve },
	{ 'keep', keep },
	{ 'refund', refund },
	{ 'usage', usage, 'no-writes' },
	{ 'user_add', user_add },
	{ 'user_set', user_set, 'allow-oom' },
	{ 'user_put', user_put },
	{ 'user_del', user_del, 'allow-oom' },
	{ 'user_get', user_get, 'no-writes' },
	{ 'user_check', user_check, 'no-writes' },
	{ 'user_domain_add', user_domain_add },
	{ 'user_domain_rm', user_domain_rm, 'allow-oom' },
	{ 'user_ip_add', user_ip_add },
	{ 'user_ip_rm', user_ip_rm, 'allow-oom' },
	{ 'user_ipauth', user_ipauth, 'allow-oom' },
	{ 'ip_claim', ip_claim },
	{ 'ip_release', ip_release, 'allow-oom' },
	{ 'account_add', account_add },
	{ 'account_set', account_set, 'allow-oom' },
	{ 'account_put', account_put },
	{ 'account_del', account_del, 'allow-oom' },
	{ 'account_get', account_get, 'no-writes' },
	{ 'account_domain_add', account_domain_add },
	{ 'account_domain_rm', account_domain_rm, 'allow-oom' },
	{ 'canonical', canonical_texts, 'no-writes' },
	{ 'version', version, 'no-writes' },
}

-- While a library loads there is no ipairs().
for i = 1, #functions do
	local name, callback = functions[i][1], functions[i][2]
	if redis.register_function then
		redis.register_function({
		    function_name = 'smtpusers_' .. name,
		    callback = function(keys, args)
			return guarded(callback, keys, args)
		    end,
		    flags = { functions[i][3] } })
	elseif name == ARGV[1] then
		table.remove(ARGV, 1)
		return guarded(callback, KEYS, ARGV)
	end
end
