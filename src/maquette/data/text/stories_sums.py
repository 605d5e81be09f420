"""Plots of the built-in stories that turn on a small sum.

Standard library only; `stories.py` explains the notation. Numbers start at two, so that every noun
behind one is a plural.
"""

PLOTS = {
    "gather": """
        cast: when hero friend pick add
        - {When} {A} and {his} {rel} {B} took a {holder} and went to {from_place}. / {When} {A} and
          {B} went to {from_place} to look for {items}.
        -? The sun was warm and the grass was long. / The birds sang all the way. / They raced each
          other, and both of them won.
        - {A} found {x} {items} and {B} found {y}. / {A} found {x} {items}. {B} looked a bit longer
          and found {y}.
        - They put them all in the {holder}. / Soon all of them were in the {holder}.
        - "How many are there?" asked {B}. "{X} and {y} make {sum}," said {A}. / "{X} and {y} make
          {sum}," said {A}. / "Let me count," said {A}. "{X} and {y} make {sum}."
        -? {B} counted them too, and there were {sum}. / {B} counted on {bhis} fingers. "Yes,
          {sum}!" {bhe} said.
        - They were proud of their {sum} {items}. / On the way home they counted again, and there
          were still {sum}. / They carried the {holder} home between them, singing a song about
          {items}.
        """,
    "more": """
        cast: when hero friend pocket add
        let keeper = tin | jar | red box | old sock
        -? @child
        - {A} had {x} {items}. / {A} kept {x} {items} in {a_keeper}. / {When} {A} counted {his}
          {items}. There were {x} of them.
        - {B} came by with a full bag. / Then {his} friend {B} came to see {him}.
        - "Would you like some more?" asked {B}. "Yes, please!" said {A}. / "I have too many," said
          {B}. "Then I will help you," said {A}.
        - So {B} gave {him} {y} more {items}. / {B} counted out {y} more {items} and gave them to
          {A}.
        - Now {A} had {sum} {items}, because {x} and {y} make {sum}. / {X} and {y} make {sum}, so
          now {A} had {sum} {items}.
        - {He} put them in a row along the [window|wall|shelf]. / {He} laid them in a circle on the
          floor, and the cat sat down in the middle. / "Listen," said {A}, and shook them. They made
          a fine noise.
        - In return {he} gave {B} [a song|half a bun|a frog]. / "Thank you," said {A}. "You may play
          with them every day." / {B} went home with a lighter bag and a big smile.
        """,
    "goat": """
        cast: when hero friend subtract
        let thief, mouth = goat; beard | pony; head | pig; tail | donkey; ears
        let spot = by the gate | under a tree | on the wall
        - {A} had {x} carrots in a basket. / {When} {A} carried {x} carrots home.
        - {He} put the basket {spot} and went to talk to {B}. / {He} met {his} {rel} {B}, put the
          basket down {spot}, and talked for a while.
        - A {thief} came by and put its head in. Crunch, crunch! / Behind {his} back {a_thief} came
          by. Crunch, crunch!
        - When {A} turned round, {y} carrots were gone. / "Stop!" cried {A}, but {y} carrots were
          gone.
        - "{X} take away {y} leaves {d}," said {B}. / "How many are left?" asked {B}. "{X} take away
          {y} leaves {d}," said {A}.
        - So there were {d} carrots for supper, and one happy {thief}. / {A} carried the {d} carrots
          home. The {thief} came too. / The {thief} shook its {mouth} and looked at the other {d}.
        - "You could have asked," said {A}. / Next time {A} held the basket with both hands. / "Next
          time ask me first," {A} told it.
        """,
    "flock": """
        cast: when hero friend flock subtract
        - {X} {items} {sat}. / {When} {x} {items} {sat}.
        - "Be quiet," said {A}, "and they will not see us." / {A} and {B} stood very still and
          counted them.
        - Then {scare}, and {y} of them were gone. / But then {scare}. Away went {y} of them!
        - "How many are left?" asked {B}. / "Now there are not so many," said {B}. / "Quick, count
          again!" said {B}.
        - "{X} take away {y} leaves {d}," said {A}. / {A} counted on {his} fingers. "{X} take away
          {y} leaves {d}," {he} said.
        - {B} counted the {items}, and there were {d}. / The {d} {items} looked back at them.
        - Then {A} sneezed, and there were none. / "Only the {d} brave ones stayed," said {A}. /
          They stayed until the last one was gone. / "Maybe the others were only hungry," said {B}.
        """,
    "stall": """
        cast: when hero stall subtract
        -? @child
        - {When} {A} went to the market with {x} coins in {his} pocket. / {A} had {x} coins, and
          {when} {he} went to the market.
        - {He} wanted to buy {a_item}. / {He} walked along the stalls until {he} saw {a_item}.
        - "How much is this {item}?" {he} asked. "{Y} coins," said {seller}. / "Good day," said {A}.
          "How much are the {items}?" "{Y} coins each," said {seller}.
        - {A} counted them out into {seller}'s hand. / {A} put {y} coins on the table, one by one.
        - "{X} take away {y} leaves {d}," said {A}. / "Now I have {d} coins," said {A}. "{X} take
          away {y} leaves {d}."
        - "You count well," said {seller}. "Come again." / "Nobody can cheat you," said {seller}.
        - With the other {d} coins {A} bought a present for {his} [grandmother|teacher|cat]. / {A}
          kept the other {d} for a rainy day. / {A} walked home with {a_item} and {d} coins, and
          felt rich.
        """,
    "share": """
        cast: when hero friend treat place share
        - {When} {A} and {B} took {all} {treats} {to_place}. / {When} {A} and {his} {rel} {B} sat
          {at_place} with a bag of {treats}. There were {all} of them.
        -? "How shall we share them?" asked {A}. / Both of them were hungry.
        - "One for you and one for me," said {B}, until the bag was empty. / {B} gave them out. "One
          for you, one for me, one for you, one for me."
        - Now each of them had {half} {treats}, because {half} and {half} make {all}. / "{Half}
          each," said {A}. "{Half} and {half} make {all}."
        - They ate and looked at the clouds. / They ate slowly, to make them last.
        - A [dog|duck|crow|squirrel] sat down in front of them and looked very sad. / Then they saw
          that somebody was watching. It was a [dog|duck|crow|squirrel].
        - So it got the crumbs, and there were many crumbs. / {A} gave it a bite, and so did {B}. /
          "There are three of us now," said {A}, and gave it the last bite.
        """,
    "candles": """
        cast: when hero elder add
        let drawer = drawer | tin | cupboard | old teapot
        -? @child
        - {E} made a cake, because it was {A}'s birthday. {He} was {sum} that day. / Today {A} was
          {sum} years old, and {E} made a cake.
        - "We need {sum} candles," said {A}. / "How many candles do you need?" asked {E}. "{Sum},"
          said {A}.
        - But in the {drawer} {E} found only {x}. / They looked in the {drawer}, and there were {x}.
        - "{X} and {y} make {sum}," said {A}. "We need {y} more." / {A} counted on {his} fingers.
          "We need {y} more," {he} said. "{X} and {y} make {sum}."
        - So they ran to the shop and bought {y} candles. / {E} asked the woman next door, and she
          had {y}.
        - Then the cake was full of light, and {A} made a wish. / {A} blew them all out with one
          breath.
        - "What did you wish for?" asked {E}. "More cake," said {A}. / "Now I feel {sum}," said {A}.
          / The first piece went to {A}, and so did the last.
        """,
    "socks": """
        cast: hero friend
        let x, y, X, Y = five; three; Five; Three | six; two; Six; Two | four; four; Four; Four
        let colour = red | blue | green | yellow
        let year = winter | autumn
        - In the {year} a spider came to live in {A}'s house. / It was a cold {year}, and a spider
          sat on {A}'s bed.
        - "My feet are cold," it said, "and I have eight of them." / It had eight feet, and all of
          them were cold.
        - {A} found {x} tiny socks in the doll's house. / The doll had {x} tiny socks, and {A} took
          them all.
        - "That is not enough," said {B}. "{X} and {y} make eight." / "{X} and {y} make eight," said
          {B}. "We need {y} more."
        - So they knitted {y} more, all of them {colour}. / {A} knitted {y} more that evening, and
          they were {colour}.
        - The spider put them on. It took an hour. / It took the spider a long time to put on eight
          socks.
        - "Thank you," it said. "Now I need some shoes." / Then it danced across the ceiling, and
          nobody heard it. / In return it made them a curtain for the window.
        """,
    "stew": """
        cast: when beasts add
        let thing = mushrooms | potatoes | carrots | onions
        let dish = stew | soup
        -? @wood
        - {A} the {kind} had {x} {thing}, and {B} the {bkind} had {y}. / {When} {A} the {kind} found
          {x} {thing}, and {B} the {bkind} found {y}.
        - "I am rich," said {A}. "So am I," said {B}. / "Mine are bigger," said {A}. "Mine are
          rounder," said {B}.
        - "Let us put them together," said {B}, "and make {dish}." / "Shall we make {dish} of them?"
          asked {B}. "Yes, a big pot of it," said {A}.
        - "{X} and {y} make {sum}," said {A}, and put them all in a pot. / They put them in a pot.
          "{X} and {y} make {sum}," said {B}.
        -? {A} stirred, and {B} looked for the spoons. / It bubbled and smelled so good that the
          birds came down to look.
        - It was the best {dish} in the whole wood. / They ate until their ears were warm.
        - "{Sum} {thing} are better than {x}," said {A}. / "Tomorrow we will find more," said {B}. /
          They saved a bowl for [the owl|the old badger|the snail], who never finds any.
        """,
}
