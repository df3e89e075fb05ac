/**
 * @file Prints, in base64, the model with sparse initializers that scripts/reference/sparse.py reads.
 */
import { bytesOf } from "../../test/helpers.ts";
import { sparseModel } from "../../test/sparse-model.ts";

console.log(Buffer.from(bytesOf(sparseModel())).toString("base64"));
