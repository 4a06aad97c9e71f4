import com.baidu.beidou.navi.protocol.SerializeHandlerFactory;
import com.baidu.beidou.navi.server.vo.RequestDTO;
import com.baidu.beidou.navi.server.vo.ResponseDTO;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.TreeMap;

/** Prints calls and answers as Navi's codecs write them: name, protobuf, protostuff, separated by tabs, in base64. */
public class Record {
    public static void main(String[] args) throws Exception {
        call("call", new Object[] {"ab", 3}, "java.lang.String", "int");
        call("no arguments", new Object[0]);
        call("scalars",
            new Object[] {true, (byte) -2, (short) -300, -70000, -5000000000L, 1.5f, -2.25, "é世", new byte[] {0, 1, -1}, new Date(1234567890123L)},
            "boolean", "byte", "short", "int", "long", "float", "double", "java.lang.String", "[B", "java.util.Date");
        List<Object> list = new ArrayList<Object>(Arrays.<Object>asList(1L, "x"));
        list.add(new ArrayList<Object>(Arrays.<Object>asList(false)));
        HashMap<Object, Object> map = new HashMap<Object, Object>();
        map.put("k", list);
        call("nested", new Object[] {list, map}, "java.util.List", "java.util.Map");

        answer("null", null);
        answer("text", "late");
        answer("number", 42L);
        answer("list", list);
        answer("map", map);

        answer("char", 'ß');
        answer("emoji", "a\uD83D\uDE00b");
        answer("decimal", new BigDecimal("-12.50"));
        answer("big", new BigInteger("-123456789012345678901234567890"));
        answer("longs", new long[] {1, -1});
        answer("strings", new String[] {"a", "b"});
        answer("grid", new int[][] {{1, 2}, {3}});
        answer("as list", Arrays.asList("a", 1));
        LinkedHashMap<Object, Object> numbers = new LinkedHashMap<Object, Object>();
        numbers.put(2, "two");
        numbers.put(1L, null);
        answer("numbers", numbers);
        answer("tree", new TreeMap<String, Object>(Collections.singletonMap("a", true)));
        answer("pojo", new Orders.Order(7, "book"));
        answer("wrapper", Collections.unmodifiableList(list));

        ResponseDTO failed = new ResponseDTO();
        failed.setTraceId(9);
        failed.setStatus(2);
        RuntimeException raised = new RuntimeException("outside", new RuntimeException("inside"));
        raised.setStackTrace(new StackTraceElement[0]);
        raised.getCause().setStackTrace(new StackTraceElement[0]);
        failed.setError(raised);
        print("error", failed, ResponseDTO.class);
    }

    private static void call(String name, Object[] arguments, String... types) throws Exception {
        RequestDTO r = new RequestDTO();
        r.setTraceId(-7);
        r.setMethod("join");
        r.setParameters(arguments);
        r.setParamterTypes(types);
        r.setAppId("app");
        r.setToken("token");
        print(name, r, RequestDTO.class);
    }

    private static void answer(String name, Object result) throws Exception {
        ResponseDTO r = new ResponseDTO();
        r.setTraceId(9);
        r.setResult(result);
        print(name, r, ResponseDTO.class);
    }

    private static <T> void print(String name, T value, Class<T> type) throws Exception {
        StringBuilder line = new StringBuilder(name);
        for (String medium : new String[] {"application/baidu.protobuf", "application/baidu.protostuff"}) {
            byte[] b = SerializeHandlerFactory.getHandlerByProtocal(medium).serialize(value, type);
            line.append('\t').append(Base64.getEncoder().encodeToString(b));
        }
        System.out.println(line);
    }
}
