import java.lang.reflect.Method;
import org.codehaus.jackson.JsonNode;
import org.codehaus.jackson.map.ObjectMapper;
import org.codehaus.jackson.node.ObjectNode;

/** Serves as Navi's JSON codec was seen to: a call that it cannot read is refused without a word. */
public class StandInServer extends Server {
    private final ObjectMapper json = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        new StandInServer().run();
    }

    @Override
    byte[] answer(byte[] call) throws Exception {
        JsonNode in = json.readTree(call);
        String method = in.get("method").getTextValue();
        Outcome outcome = invoke(method, json.convertValue(in.get("paramterTypes"), String[].class), arguments(method, in.get("parameters")));
        ObjectNode out = json.createObjectNode();
        out.put("traceId", in.path("traceId").getLongValue());
        out.put("result", json.valueToTree(outcome.result));
        out.put("status", outcome.status);
        out.put("error", outcome.error == null ? null : json.valueToTree(new RuntimeException(outcome.error)));
        return json.writeValueAsBytes(out);
    }

    private Object[] arguments(String method, JsonNode values) throws Exception {
        for (Method m : Orders.class.getMethods()) {
            if (!m.getName().equals(method)) {
                continue;
            }
            Class<?>[] types = m.getParameterTypes();
            Object[] out = new Object[types.length];
            if (types.length > 0 && (values == null || values.size() != types.length)) {
                throw new IllegalArgumentException(method + " has " + types.length + " arguments");
            }
            for (int i = 0; i < types.length; i++) {
                out[i] = json.treeToValue(values.get(i), types[i]);
            }
            return out;
        }
        throw new NoSuchMethodException(method);
    }
}
