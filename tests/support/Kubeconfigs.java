import java.nio.charset.StandardCharsets;
import java.util.Base64;

/** Kubeconfigs with one cluster, one user and one context, each by the name {@code test}. */
final class Kubeconfigs {

    private Kubeconfigs() {
    }

    /**
     * The context has no namespace.
     *
     * @param cluster fields of the cluster, in YAML's flow style without braces; likewise {@code user}
     */
    static String of(String cluster, String user) {
        return withContext("", cluster, user);
    }

    /** The same with this namespace. */
    static String of(String namespace, String cluster, String user) {
        return withContext(", namespace: " + namespace, cluster, user);
    }

    /** The fields of a user with a client certificate, from PEM. */
    static String certificate(String certificatePem, String keyPem) {
        return "client-certificate-data: %s, client-key-data: %s".formatted(base64(certificatePem), base64(keyPem));
    }

    /** What a field whose name ends with {@code -data} says. */
    static String base64(String text) {
        return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.US_ASCII));
    }

    private static String withContext(String more, String cluster, String user) {
        return """
                apiVersion: v1
                kind: Config
                current-context: test
                contexts: [{name: test, context: {cluster: test, user: test%s}}]
                clusters: [{name: test, cluster: {%s}}]
                users: [{name: test, user: {%s}}]
                """.formatted(more, cluster, user);
    }
}
