// Copyright (c) 2026 The smtpusers authors
// See LICENSE.

// Java's readings: each line of standard input is a message in hexadecimal; a
// line of output has the addresses found, each in hexadecimal.

import jakarta.mail.Address;
import jakarta.mail.Session;
import jakarta.mail.internet.AddressException;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import jakarta.mail.internet.MimeUtility;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;

class JavaReader {
    static void add(List<String> found, Address[] list) {
        if (list == null)
            return;
        for (Address one : list) {
            String address = ((InternetAddress)one).getAddress();
            if (address != null)
                found.add(HexFormat.of().formatHex(
                    address.getBytes(StandardCharsets.UTF_8)));
        }
    }

    static void parse(List<String> found, String value) {
        for (boolean strict : new boolean[] { true, false }) {
            try {
                add(found, InternetAddress.parse(value, strict));
            } catch (AddressException e) {
                /* Its caller sees no address. */
            }
            try {
                add(found, InternetAddress.parseHeader(value, strict));
            } catch (AddressException e) {
                /* The same. */
            }
        }
    }

    static List<String> read(byte[] text) throws Exception {
        List<String> found = new ArrayList<>();
        MimeMessage message = new MimeMessage(
            Session.getInstance(new Properties()),
            new ByteArrayInputStream(text));
        try {
            add(found, message.getFrom());
        } catch (AddressException e) {
            /* The same. */
        }
        String[] values = message.getHeader("From");
        if (values == null)
            return found;
        for (String value : values) {
            parse(found, value);
            parse(found, MimeUtility.unfold(value));
            try {
                parse(found,
                    MimeUtility.decodeText(MimeUtility.unfold(value)));
            } catch (java.io.UnsupportedEncodingException e) {
                /* The same. */
            }
        }
        return found;
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        StringBuilder out = new StringBuilder();
        for (String line; (line = in.readLine()) != null;)
            out.append(String.join(" ",
                read(HexFormat.of().parseHex(line)))).append('\n');
        System.out.print(out);
    }
}
