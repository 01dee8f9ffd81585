import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The parser by which the tests judge metrics reads what Prometheus reads, and refuses the rest. */
class PrometheusTextTest {

    private static final String GOOD = """
            # HELP up Whether it is up, \\\\ and \\n included.
            # TYPE up gauge
            up 1
            # HELP hits_total Hits.
            # TYPE hits_total counter
            hits_total{path="/a\\"b\\\\n\\n",code="200"} 1.5E3
            hits_total{path="",code="<error>"} 0
            # HELP age_seconds Age.
            # TYPE age_seconds gauge
            age_seconds NaN
            # HELP none_total Nothing yet.
            # TYPE none_total counter
            """;

    @Test
    void values_types_and_escaped_labels_are_read() {
        PrometheusText text = PrometheusText.parse(GOOD);
        assertEquals(1, text.value("up"));
        assertEquals("gauge", text.families().get("up").type());
        assertEquals(1500, text.value("hits_total", Map.of("path", "/a\"b\\n\n", "code", "200")));
        assertEquals(0, text.count("hits_total", Map.of("path", "/elsewhere", "code", "200")));
        assertTrue(Double.isNaN(text.value("age_seconds")));
        assertTrue(text.families().get("none_total").samples().isEmpty());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '\0', value = {
        "up 1\\n                                                          | must follow the HELP",
        "# HELP up U.\\n# TYPE up gauge\\nup 1                            | line feed",
        "# HELP up U.\\nup 1\\n                                           | must follow the HELP",
        "# TYPE up gauge\\nup 1\\n                                        | TYPE must follow its HELP",
        "# HELP up U.\\n# TYPE down gauge\\n                              | TYPE must follow its HELP",
        "# HELP up U.\\n                                                  | HELP without TYPE",
        "# HELP up U.\\n# TYPE up number\\n                               | type must be one of",
        "# HELP up U.\\n# TYPE up counter\\n                              | _total",
        "# HELP up_total U.\\n# TYPE up_total gauge\\n                    | _total",
        "# HELP a-b U.\\n                                                 | neither HELP",
        "# HELP up U.\\n# TYPE up gauge\\nup one\\n                       | must be a number",
        "# HELP up U.\\n# TYPE up gauge\\nup Infinity\\n                  | must be a number",
        "# HELP up U.\\n# TYPE up gauge\\nup 1d\\n                        | must be a number",
        "# HELP up U.\\n# TYPE up gauge\\nup 1\\nup 2\\n                  | same labels twice",
        "# HELP up U.\\n# TYPE up gauge\\nup{a=\"1\",a=\"2\"} 1\\n        | same label twice",
        "# HELP up U.\\n# TYPE up gauge\\nup{a=1} 1\\n                    | labels must be",
        "# HELP up U.\\n# TYPE up gauge\\nup{a=\"x\"y\"} 1\\n             | labels must be",
        "# HELP up U.\\n# TYPE up gauge\\nup{a=\"1\"b=\"2\"} 1\\n         | labels must be",
        "# HELP up U.\\n# TYPE up gauge\\nup{__a=\"1\"} 1\\n              | reserved",
        "# HELP n_total U.\\n# TYPE n_total counter\\nn_total -1\\n       | from 0 up",
        "# HELP n_total U.\\n# TYPE n_total counter\\nn_total NaN\\n      | from 0 up",
        "# HELP up U.\\n# TYPE up gauge\\n# HELP up U.\\n                 | with one HELP",
        "# HELP up U.\\n# TYPE up gauge\\n\\nup 1\\n                      | neither HELP",
        "# HELP up U.\\n# TYPE up gauge\\nup  1\\n                        | neither HELP",
    })
    void what_breaks_the_format_is_refused(String text, String rule) {
        String message = assertThrows(PrometheusText.Malformed.class, () -> PrometheusText.parse(text.replace("\\n", "\n"))).getMessage();
        assertTrue(message.contains(rule), message);
    }
}
