-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Passwords, of which only hashes are held.

local scheme_of, slow_text

do

local HASH_MAX = 383		-- CRYPT_OUTPUT_SIZE without its NUL
local SLOW = 5			-- milliseconds that verifying a hash may take

-- By what stands between the first two dollars.
local SCHEMES = { ['2a'] = 'bcrypt', ['2b'] = 'bcrypt', ['2y'] = 'bcrypt',
    ['1'] = 'md5crypt', ['5'] = 'sha256crypt', ['6'] = 'sha512crypt',
    ['7'] = 'scrypt', y = 'yescrypt', gy = 'gost-yescrypt',
    sha1 = 'sha1crypt' }

-- "locked" for the ways of passwd(5) to lock a password; nil for no hash.
function scheme_of(text)
	if string.find(text, '^[!*]') then
		return 'locked'
	end
	return SCHEMES[string.match(text, '^%$([a-z0-9]+)%$.') or '']
end

-- The error does not repeat it: it may be the password itself.
function canonical.hash(text)
	local scheme = scheme_of(text)
	-- crypt(5): none of : ; * ! \.
	local good = scheme == 'locked' and '^[ -~]*$' or
	    '^[%w$./"#%%&\'()+,<=>?@%[%]^_`{|}~-]*$'
	if not scheme or #text > HASH_MAX or not string.find(text, good) then
		fail('INVALID', 'password: not a hash that crypt(3) makes')
	end
	return text
end

local DIGITS = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ' ..
    'abcdefghijklmnopqrstuvwxyz'

local function digit(text, at)
	local c = string.sub(text, at, at)
	return c ~= '' and string.find(DIGITS, c, 1, true) - 1 or 64
end

local function rounds(default, factor)
	return function(text)
		local n = string.match(text, '^%$%d%$rounds=(%d+)%$')
		return (tonumber(n) or default) * factor
	end
end

-- Digits from 48 on, and what follows the first two, are for parameters
-- that nobody uses.
local function yescrypt(text)
	local params = string.match(text, '^%$g?y%$j([^$]*)%$')
	local n, r = digit(params or '', 1), digit(params or '', 2)
	if #(params or '') ~= 2 or n >= 48 or r >= 48 then
		return math.huge
	end
	return 2 ^ (n + 1) * (r + 1) * 1.1e-4
end

local TIMES = {
	bcrypt = function(text)
		return 2 ^ (tonumber(string.match(text,
		    '^%$2.%$(%d%d)%$')) or 64) * 0.043
	end,
	sha512crypt = rounds(5000, 1.9e-4),
	sha256crypt = rounds(5000, 3e-4),
	sha1crypt = function(text)
		return (tonumber(string.match(text,
		    '^%$sha1%$(%d+)%$')) or math.huge) * 5e-4
	end,
	scrypt = function(text)
		return 2 ^ digit(text, 4) * digit(text, 5) * 3.3e-4
	end,
	yescrypt = yescrypt,
	['gost-yescrypt'] = yescrypt,
}

-- About how long it takes to verify a password by a hash, in milliseconds, where
-- that is more than smtpd should stand still for; nil where it is not.  The
-- factors were measured with libxcrypt 4.4 on a processor of 2023.
local function slow_hash(text)
	local time = TIMES[scheme_of(text) or '']
	time = time and time(text)
	return time and time > SLOW and time or nil
end

-- What is said of it.
function slow_text(text)
	local time = slow_hash(text)
	if not time then
		return nil
	end
	local about = time > 9999 and 'much longer than' or
	    string.format('about %.0f ms, more than the', time)
	return 'password: to verify this ' .. scheme_of(text) ..
	    ' hash takes ' .. about .. ' ' .. SLOW ..
	    ' ms that smtpd can spare'
end

end
