import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.StringReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.xml.sax.InputSource;

class ElectionPictureTest {

    private static final long SECOND = 1_000_000_000L;
    private static final String GREEN = "#3fa34d";
    private static final String BLUE = "#2f81f7";

    private final ElectionPicture picture = new ElectionPicture(List.of("web-0", "web-1"));

    private void state(long at, String first, String second, String holder) {
        Map<String, String> labels = new HashMap<>();
        labels.put("web-0", first);
        labels.put("web-1", second);
        picture.state(at, labels, holder);
    }

    /** The bars of a colour in the lanes as {@code y from width}. */
    private static List<String> bars(Document svg, String colour) {
        List<String> bars = new ArrayList<>();
        for (int i = 0; i < svg.getElementsByTagName("rect").getLength(); i++) {
            Element bar = (Element) svg.getElementsByTagName("rect").item(i);
            if (bar.getAttribute("fill").equals(colour) && Integer.parseInt(bar.getAttribute("y")) < 136) {
                bars.add(bar.getAttribute("y") + " " + bar.getAttribute("x") + " " + bar.getAttribute("width"));
            }
        }
        return bars;
    }

    private Document draw(long from, long to) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(picture.svg(from, to))));
    }

    @Test
    void each_lane_is_green_while_its_pod_is_labelled_and_underlined_while_it_holds_the_lease() throws Exception {
        state(SECOND, "false", null, "");
        state(2 * SECOND, "true", "false", "web-0");
        state(5 * SECOND, "false", "false", "web-1");
        state(6 * SECOND, "false", "true", "web-1");
        Document svg = draw(0, 10 * SECOND);
        assertEquals(List.of("56 224.0 231.0", "96 532.0 308.0"), bars(svg, GREEN));
        assertEquals(List.of("79 224.0 231.0", "119 455.0 385.0"), bars(svg, BLUE));
    }

    @Test
    void a_picture_shows_nothing_of_what_was_before_it_or_after() throws Exception {
        picture.remark(SECOND, "before");
        state(SECOND, "true", "false", "web-0");
        state(4 * SECOND, "false", "true", "web-1");
        picture.remark(9 * SECOND, "after");
        Document svg = draw(2 * SECOND, 6 * SECOND);
        assertEquals(List.of("56 70.0 385.0", "96 455.0 385.0"), bars(svg, GREEN));
        assertEquals(0, svg.getElementsByTagName("circle").getLength());
    }

    @Test
    void what_is_done_from_outside_is_numbered_and_listed() throws Exception {
        picture.remark(SECOND, "SIGTERM to web-0 & <others>");
        picture.remark(SECOND + 1, "web-0: new pod");
        Document svg = draw(0, 10 * SECOND);
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < svg.getElementsByTagName("text").getLength(); i++) {
            texts.add(svg.getElementsByTagName("text").item(i).getTextContent());
        }
        assertEquals(List.of("2", "1"), texts.stream().filter(text -> text.matches("\\d")).toList());
        assertEquals(List.of("1   1.00 s   SIGTERM to web-0 & <others>", "2   1.00 s   web-0: new pod"),
                texts.stream().filter(text -> text.contains("   ")).toList());
    }
}
