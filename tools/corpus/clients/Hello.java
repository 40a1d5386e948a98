// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Asks for one page: java Hello.java PORT NAME 1.1|2 (names by -Djdk.net.hosts.file). */
class Hello {
	public static void main(String[] args) throws Exception {
		HttpClient.Version version = args[2].equals("2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1;
		HttpClient client = HttpClient.newBuilder().version(version).build();
		URI uri = URI.create("https://" + args[1] + ":" + args[0] + "/");
		client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.discarding());
	}
}
