"""A client of the Open Inference Protocol that was not written here (NVIDIA's tritonclient) talks to our server: what a model is, and
its probabilities for 2,000 rows, beside those of decisions about the same rows.

    $PEER_PYTHON bench/serving/inference_client.py [--work DIR]        needs pip install "tritonclient[http]"
"""
import argparse
import json
import os
import shutil
import urllib.request

import numpy
import tritonclient.http

from client import decision_bodies
from server import Server, bundles

parser = argparse.ArgumentParser()
parser.add_argument("--work", default="/tmp/statera-serving")
arguments = parser.parse_args()
os.makedirs(arguments.work, exist_ok=True)
folder = os.path.join(arguments.work, "inference")
shutil.rmtree(folder, ignore_errors=True)
server = Server(folder).start().furnish(bundles(arguments.work))
try:
    key = {"authorization": "Bearer " + open(server.key_file).read()}
    client = tritonclient.http.InferenceServerClient(server.place)
    print("live", client.is_server_live(headers=key), "ready", client.is_server_ready(headers=key), "model ready", client.is_model_ready("taiwan-1", headers=key))
    print("server", {k: v for k, v in client.get_server_metadata(headers=key).items() if k != "extensions"})
    told = client.get_model_metadata("taiwan-1", headers=key)
    print("model", told["name"], told["versions"], told["platform"], len(told["inputs"]), "inputs,", told["outputs"])

    asked = [json.loads(line) for line in open(decision_bodies(folder, "taiwan-1")) if line.strip()]
    rows = [body["row"] for body in asked]
    inputs = []
    for column in told["inputs"]:
        cells = [row[column["name"]] for row in rows]
        kind = column["datatype"]
        values = numpy.array(cells, dtype=object if kind == "BYTES" else {"INT64": "int64", "FP64": "float64"}[kind])
        tensor = tritonclient.http.InferInput(column["name"], [len(rows), 1], kind)
        tensor.set_data_from_numpy(values.reshape(-1, 1), binary_data=False)
        inputs.append(tensor)
    wanted = [tritonclient.http.InferRequestedOutput("probability", binary_data=False)]
    answer = client.infer("taiwan-1", inputs, outputs=wanted, headers=key)
    probabilities = answer.as_numpy("probability").ravel()

    def decide(body):
        # Every run is a client of its own.
        body.pop("request_id", None)
        request = urllib.request.Request(server.url + "/api/v1/decisions", json.dumps(body).encode(), {**key, "content-type": "application/json"})
        return json.load(urllib.request.urlopen(request))["decisions"][0]["probability"]

    decided = numpy.array([decide(body) for body in asked[:200]])
    print(len(probabilities), "rows; the first 200 beside decisions: largest difference", abs(probabilities[:200] - decided).max())
finally:
    server.stop()
